/** What the tests of operations share: all engines that they need, empty. */
import { Admin } from "@platformatic/kafka";
import { partitionCount, topics } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { createMemoryCardCache } from "../../infra/card-cache/memory.ts";
import { createRedisCardCache } from "../../infra/card-cache/redis.ts";
import { noEdgeCache } from "../../infra/edge-cache/none.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { openKafkaLog } from "../../infra/event-log/kafka.ts";
import type { Appended, EventLog, LogRecord, NewRecord } from "../../infra/event-log/port.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { createMemoryFeedCaches } from "../../infra/feed-cache/memory.ts";
import { closeRedis, openRedis } from "../../infra/redis/client.ts";
import { createRedisFeedCaches } from "../../infra/feed-cache/redis.ts";
import { Keys } from "../../infra/feed-cache/redis_test_keys.ts";
import { temporaryStore } from "../../infra/object-store/local-fixture.ts";
import { openInFolder } from "../../infra/sql/pglite_fixture.ts";
import { createDatabase } from "../../infra/sql/postgres_fixture.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { openSealer } from "../../projections/runner/harness.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { prefixedLog } from "../queries/testing/prefixed-log.ts";
import type { Name, Output } from "./operations.ts";
import type { OperatorEngines, Told } from "./operation.ts";
import { operations } from "./operations.ts";

export interface OperatedWorld extends AsyncDisposable {
  readonly engines: OperatorEngines;
  /** Of the embedded log and database, for a process that is to be killed. */
  readonly folder: string;
  readonly storeFolder: string;
  append(...events: DomainEvent[]): Promise<Appended[]>;
  ask<N extends Name>(
    name: N,
    input: Parameters<(typeof operations)[N]["run"]>[1],
    told?: Partial<Told>,
  ): Promise<Output<N>>;
}

type Own = Pick<OperatorEngines, "log" | "sql" | "feedCaches" | "cardCache">;

export async function openEmbeddedWorld(folder?: string): Promise<OperatedWorld> {
  await using closing = new AsyncDisposableStack();
  const at = folder ?? await Deno.makeTempDir();
  if (folder === undefined) closing.defer(() => Deno.remove(at, { recursive: true }));
  const log = await openSqliteLog({ path: `${at}/log.sqlite`, sessionTimeout: 1_000 });
  closing.defer(() => log.close());
  const sql = await openInFolder(`${at}/sql`);
  closing.defer(() => sql.close());
  const feedCaches = createMemoryFeedCaches();
  const own = { log, sql, feedCaches, cardCache: createMemoryCardCache() };
  return await complete(own, at, closing.move());
}

/** The servers that tests are given; undefined without them. */
export const servers = (() => {
  const kafka = Deno.env.get("SHUTTERLOG_TEST_KAFKA");
  const postgres = Deno.env.get("SHUTTERLOG_TEST_POSTGRES");
  const redis = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
  if (kafka && postgres && redis) return { kafka, postgres, redis };
  console.log(
    "SHUTTERLOG_TEST_KAFKA, _POSTGRES or _REDIS_CLUSTER is not set: operations are not tried there",
  );
})();

export async function openNetworkedWorld(
  { kafka, postgres, redis }: NonNullable<typeof servers>,
): Promise<OperatedWorld> {
  await using closing = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  closing.defer(() => Deno.remove(folder, { recursive: true }));
  const brokers = kafka.split(",");
  const replicationFactor = Math.min(3, brokers.length);
  const minInsyncReplicas = Math.max(1, replicationFactor - 1);
  const shared = await openKafkaLog({
    brokers,
    replicationFactor,
    minInsyncReplicas,
    logger: silentLogger,
  });
  closing.defer(() => shared.close());
  const made = new Set<string>();
  closing.defer(() => deleteTopics(brokers, [...made]));
  const log = prefixedLog({
    ...forwarding(shared),
    async ensureTopics(specs) {
      for (const { name } of specs) made.add(name);
      await shared.ensureTopics(specs);
    },
  }, `operated-${newId()}-`);
  const database = await createDatabase(postgres);
  closing.defer(() => database.remove());
  const sql = await openPostgres({ url: `${database.url}?options=-c%20TimeZone%3DUTC` });
  closing.defer(() => sql.close());
  const client = openRedis({ nodes: redis.split(",") }, silentLogger);
  closing.defer(async () => void await closeRedis(client));
  const keys = () => {
    const own = new Keys(client);
    closing.defer(async () => void await own.remove());
    return own.prefix;
  };
  const feedCaches = createRedisFeedCaches({ client, prefix: keys() });
  const cardCache = createRedisCardCache({ client, prefix: keys() });
  return await complete({ log, sql, feedCaches, cardCache }, folder, closing.move());
}

async function complete(
  own: Own,
  folder: string,
  closing: AsyncDisposableStack,
): Promise<OperatedWorld> {
  await own.log.ensureTopics(topics.map((name) => ({ name, partitions: partitionCount })));
  const { store, folder: storeFolder } = closing.use(await temporaryStore());
  const engines: OperatorEngines = {
    ...own,
    store,
    edge: noEdgeCache,
    sealer: openSealer,
    live: new LiveSql(own.sql),
    cdnBaseUrl: "https://cdn.example",
    pullThreshold: 1_000,
    logger: silentLogger,
  };
  return {
    engines,
    folder,
    storeFolder,
    append: async (...events) =>
      await own.log.append(
        await Promise.all(events.map((event) => encodeEvent(event, openSealer))),
      ),
    ask: async <N extends Name>(name: N, input: unknown, told: Partial<Told> = {}) => {
      const { signal = new AbortController().signal, onStep = () => {} } = told;
      const { run } = operations[name] as { run: (...given: unknown[]) => Promise<unknown> };
      return await run(engines, input, { signal, onStep }) as Output<N>;
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** The record in a version that nobody reads yet. */
export function fromTheFuture(record: NewRecord): NewRecord {
  const type = record.headers.ce_type?.replace(/\.v\d+$/, ".v9") ?? "";
  return { ...record, headers: { ...record.headers, ce_type: type } };
}

function forwarding(log: EventLog): EventLog {
  return {
    ensureTopics: (specs) => log.ensureTopics(specs),
    inspectTopics: (specs) => log.inspectTopics(specs),
    append: (records) => log.append(records),
    read: (partition, from, options) => log.read(partition, from, options),
    watermarks: (names) => log.watermarks(names),
    consume: (options) => log.consume(options),
    close: () => log.close(),
  };
}

/** A small broker bears only so many partitions. */
async function deleteTopics(brokers: string[], topics: string[]): Promise<void> {
  const admin = new Admin({ clientId: "tests", bootstrapBrokers: brokers });
  try {
    await admin.deleteTopics({ topics });
  } finally {
    await admin.close();
  }
}

/** The log as the release reads it that knows version 9. */
export function readByTheNextRelease(log: EventLog): EventLog {
  const lifted = (record: LogRecord): LogRecord => ({
    ...record,
    headers: {
      ...record.headers,
      ce_type: record.headers.ce_type?.replace(/\.v9$/, ".v1") ?? "",
    },
  });
  return {
    ...forwarding(log),
    consume: (options) =>
      log.consume({
        ...options,
        handle: (records, signal) => options.handle(records.map(lifted), signal),
      }),
    async *read(partition, from, options) {
      for await (const batch of log.read(partition, from, options)) yield batch.map(lifted);
    },
  };
}
