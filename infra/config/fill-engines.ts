import { openKafkaLog } from "../event-log/kafka.ts";
import { observed } from "../event-log/observed.ts";
import type { EventLog } from "../event-log/port.ts";
import { openPostgresIdentity } from "../identity/postgres.ts";
import { AccountSealer } from "../identity/sealing.ts";
import { openPostgres, type PostgresOptions } from "../sql/postgres.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { NetworkedConfig } from "./config.ts";

export async function openNetworkedLog(
  { KAFKA_BROKERS: brokers }: Pick<NetworkedConfig, "KAFKA_BROKERS">,
  logger: Logger,
): Promise<EventLog> {
  const replicationFactor = Math.min(3, brokers.length);
  const log = await openKafkaLog({
    brokers,
    replicationFactor,
    minInsyncReplicas: Math.max(1, replicationFactor - 1),
    logger: logger.with({ engine: "kafka" }),
  });
  return observed(log, "kafka");
}

/** What fills a projection on the networked engines, and nothing that takes long to load beside it. */
export async function openFillEngines(
  config: Pick<NetworkedConfig, "KAFKA_BROKERS" | "POSTGRES_URL">,
  options: Pick<PostgresOptions, "statementTimeout">,
  logger: Logger,
) {
  const url = config.POSTGRES_URL;
  const [log, sql, identity] = await Promise.all([
    openNetworkedLog(config, logger),
    openPostgres({ url, ...options }),
    openPostgres({ url }).then(openPostgresIdentity),
  ]);
  return {
    log,
    sql,
    sealer: new AccountSealer({ identity }),
    async close() {
      await Promise.all([log.close(), sql.close(), identity.closeStore()]);
    },
  };
}
