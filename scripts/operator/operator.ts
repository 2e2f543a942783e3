import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  Cancelled,
  type OperatorEngines,
  Refused,
  statementTimeout,
  type Told,
} from "../../apps/operator/operation.ts";
import { type Input, type Name, type Output, perform } from "../../apps/operator/operations.ts";
import { laneThreads } from "../../apps/operator/lane-threads/lane-threads.ts";
import { askOverSocket, listens } from "../../apps/operator/socket.ts";
import { loadConfig, loadNetworkedConfig } from "../../infra/config/config.ts";
import { FolderInUse, openEmbedded } from "../../infra/config/embedded.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { createLogger } from "../../infra/telemetry/logger.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";

export { Cancelled, Refused };

/** Where operations are performed. */
export interface Operator {
  /** Said to the person who asks. */
  readonly note: string;
  ask<N extends Name>(name: N, input: Input<N>, told?: Partial<Told>): Promise<Output<N>>;
  close(): Promise<void>;
}

/** Ends every operator's `--help`. */
export const whereHelp =
  `With KAFKA_BROKERS set it works on the networked engines, as the other processes do (.env.example has
the environment). Else on the folder DATA_DIR, .shutterlog when unset: by asking the process that runs
on it, or, where none does, by opening it.`;

/**
 * The networked engines when the environment names Kafka; else the process that has the data folder
 * open; else, with none running, the folder itself.
 * @throws {Refused} when none of them can be had.
 */
export async function openOperator(): Promise<Operator> {
  if (Deno.env.get("KAFKA_BROKERS")) return await openNetworked();
  const { DATA_DIR } = loadConfig();
  if (!await listens(DATA_DIR)) return await openFolder();
  return {
    note: `asked of the process that runs on ${DATA_DIR}`,
    ask: async <N extends Name>(name: N, input: Input<N>, told?: Partial<Told>) => {
      const reached = await askOverSocket(DATA_DIR, name, input, complete(told));
      if (!reached) throw new Refused(`the process that ran on ${DATA_DIR} has ended; ask again`);
      return reached.answer as Output<N>;
    },
    close: () => Promise.resolve(),
  };
}

/** Milliseconds in which engines must have answered for the first time: a busy one is no reason to give up. */
const openWithin = 10_000;

async function patiently(check: () => Promise<void>): Promise<void> {
  for (const deadline = performance.now() + openWithin;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(100);
    }
  }
}

async function openNetworked(): Promise<Operator> {
  const config = loadNetworkedConfig();
  const logger = createLogger({ level: "warn", format: "text" });
  const engines = new NetworkedEngines(config, logger);
  try {
    const log = await engines.log();
    const sql = await engines.sql({ statementTimeout });
    const feedCaches = engines.feedCaches();
    await patiently(() => feedCaches.check());
    return inProcess("on the networked engines", {
      log,
      sql,
      feedCaches,
      cardCache: engines.cardCache(),
      store: engines.store(),
      edge: engines.edge(),
      sealer: (await engines.identity()).sealer,
      live: new LiveSql(sql),
      cdnBaseUrl: config.CDN_BASE_URL,
      pullThreshold: config.FEED_PULL_THRESHOLD,
      logger,
      openLaneThread: laneThreads(config),
    }, () => engines.close());
  } catch (error) {
    await engines.close();
    throw new Refused(
      `the engines cannot be reached: ${error instanceof Error ? error.message : error}`,
    );
  }
}

async function openFolder(): Promise<Operator> {
  const config = loadConfig();
  const { DATA_DIR: folder, CDN_BASE_URL, PUBLIC_URL, HOST, PORT } = config;
  if (!await Deno.stat(join(folder, "log", "log.sqlite")).catch(() => undefined)) {
    throw new Refused(`there is no log in ${folder}: start deno task dev, or set DATA_DIR`);
  }
  const logger = createLogger({ level: "warn", format: "text" });
  const baseUrl = PUBLIC_URL ?? `http://${HOST}:${PORT}`;
  try {
    const engines = await openEmbedded(config, baseUrl, logger);
    return inProcess(
      `on ${folder}, which no process has open: cached feeds lived and died with it`,
      {
        ...engines,
        live: new LiveSql(engines.sql),
        cdnBaseUrl: CDN_BASE_URL ?? `${baseUrl}/cdn`,
        pullThreshold: config.FEED_PULL_THRESHOLD,
        logger,
      },
      () => engines.close(),
    );
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error;
    throw new Refused(
      `${error.message}, and it does not answer. If it is still starting, try again; else end it.`,
    );
  }
}

function inProcess(
  note: string,
  engines: OperatorEngines,
  close: () => Promise<void>,
): Operator {
  return {
    note,
    ask: async <N extends Name>(name: N, input: Input<N>, told?: Partial<Told>) =>
      await perform(engines, name, input, complete(told)) as Output<N>,
    close,
  };
}

function complete(
  { signal = new AbortController().signal, onStep = () => {} }: Partial<Told> = {},
) {
  return { signal, onStep };
}
