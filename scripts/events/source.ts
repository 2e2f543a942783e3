import { loadConfig, loadNetworkedConfig } from "../../infra/config/config.ts";
import { foldersIn } from "../../infra/config/folders.ts";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { readSqliteLog } from "../../infra/event-log/sqlite.ts";
import type { Identity } from "../../infra/identity/port.ts";
import { AccountSealer } from "../../infra/identity/sealing.ts";
import { readSqliteIdentity } from "../../infra/identity/sqlite.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { Refused } from "../client/terminal.ts";

/** A log to be read, and the keys that open the text in it. */
export interface Source {
  readonly log: Pick<EventLog, "read" | "watermarks">;
  readonly sealer: TextSealer;
  readonly identity: Pick<Identity, "pendingOutbox">;
  /** Where an export is kept when no folder is named. */
  readonly dataDir: string;
  close(): Promise<void>;
}

/**
 * The networked engines when the environment names Kafka, else the folder DATA_DIR, beside whichever
 * process has it open.
 * @throws {Refused} when there is nothing to be read.
 */
export async function openSource(): Promise<Source> {
  if (Deno.env.get("KAFKA_BROKERS")) return await openNetworked();
  const { DATA_DIR } = loadConfig();
  const { logFile, identityFile } = foldersIn(DATA_DIR);
  for (const file of [logFile, identityFile]) {
    if (await Deno.stat(file).catch(() => undefined)) continue;
    throw new Refused(`there is no ${file}: start deno task dev, or set DATA_DIR`);
  }
  const log = readSqliteLog({ path: logFile });
  const identity = readSqliteIdentity({ path: identityFile });
  return {
    log,
    identity,
    sealer: new AccountSealer({ identity }),
    dataDir: DATA_DIR,
    async close() {
      await log.close();
      await identity.closeStore();
    },
  };
}

async function openNetworked(): Promise<Source> {
  // Loaded when needed: their clients take longer to load than most questions to answer.
  const { NetworkedEngines } = await import("../../infra/config/networked.ts");
  const engines = new NetworkedEngines(loadNetworkedConfig(), silentLogger);
  try {
    const log = await engines.log();
    const { identity, sealer } = await engines.identity();
    const dataDir = Deno.env.get("DATA_DIR") || ".shutterlog";
    return { log, sealer, identity, dataDir, close: () => engines.close() };
  } catch (error) {
    await engines.close();
    throw new Refused(
      `the engines cannot be reached: ${error instanceof Error ? error.message : error}`,
    );
  }
}
