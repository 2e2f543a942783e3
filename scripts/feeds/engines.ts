import { join } from "node:path";
import { answer, askOperator, type Question } from "../../apps/dev/operator.ts";
import { loadConfig, loadNetworkedConfig } from "../../infra/config/config.ts";
import { FolderInUse } from "../../infra/config/embedded.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { createMemoryFeedCache } from "../../infra/feed-cache/memory.ts";
import { openPglite } from "../../infra/sql/pglite.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import type { VerifyOptions } from "../../projections/feeds/verify.ts";
import { verifyFeeds } from "../../projections/feeds/verify.ts";
import { Refused } from "../client/terminal.ts";

/** Where questions about feeds are answered. */
export interface Asked {
  /** Said to the person who asks. */
  readonly note: string;
  ask(
    question: Question,
    progress?: Pick<VerifyOptions, "onRead" | "onCompared">,
  ): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * The networked engines when the environment names Kafka; else the process that has the data folder
 * open; else, with none running, the folder itself.
 */
export async function openAsked(): Promise<Asked> {
  if (Deno.env.get("KAFKA_BROKERS")) return await openNetworked();
  const { DATA_DIR } = loadConfig();
  const reached = await askOperator(DATA_DIR, { ask: "account", handle: "" });
  if (reached) {
    return {
      note: `asked of the process that runs on ${DATA_DIR}`,
      ask: async (question) => (await askOperator(DATA_DIR, question))?.answer,
      close: () => Promise.resolve(),
    };
  }
  return await openFolder(DATA_DIR);
}

async function openNetworked(): Promise<Asked> {
  const engines = new NetworkedEngines(loadNetworkedConfig(), silentLogger);
  try {
    const [log, sql] = [await engines.log(), await engines.sql()];
    const { feedCache: cache, authorCache } = engines.feedCaches();
    await cache.check();
    return inProcess(
      "on the networked engines",
      { log, sql: new LiveSql(sql), cache, authorCache },
      [
        () => engines.close(),
      ],
    );
  } catch (error) {
    await engines.close();
    throw new Refused(`the engines cannot be reached: ${messageOf(error)}`);
  }
}

async function openFolder(folder: string): Promise<Asked> {
  const path = join(folder, "log", "log.sqlite");
  if (!await Deno.stat(path).catch(() => undefined)) {
    throw new Refused(`there is no log in ${folder}: start deno task dev, or set DATA_DIR`);
  }
  const closing: (() => Promise<void>)[] = [];
  try {
    const sql = await openPglite({ folder: join(folder, "read-model") });
    closing.push(() => sql.close());
    const log = await openSqliteLog({ path });
    closing.push(() => log.close());
    const [cache, authorCache] = [createMemoryFeedCache(), createMemoryFeedCache()];
    return inProcess(
      `on ${folder}, which no process has open: cached feeds lived and died with it`,
      { log, sql: new LiveSql(sql), cache, authorCache },
      closing,
    );
  } catch (error) {
    for (const close of closing.reverse()) await close();
    if (!(error instanceof FolderInUse)) throw error;
    throw new Refused(
      `${error.message}, and it does not answer. If it is still starting, try again; else end it.`,
    );
  }
}

function inProcess(
  note: string,
  inspected: Parameters<typeof answer>[1],
  closing: (() => Promise<unknown>)[],
): Asked {
  return {
    note,
    ask: (question, progress) =>
      question.ask === "verify"
        ? verifyFeeds(inspected, { ...question, ...progress })
        : answer(question, inspected),
    close: async () => {
      for (const close of closing.reverse()) await close();
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
