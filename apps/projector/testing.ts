/** What the tests of lanes and reactors share: projections on real engines, in folders of their own. */
import { topics } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { createMemoryCardCache } from "../../infra/card-cache/memory.ts";
import { noEdgeCache } from "../../infra/edge-cache/none.ts";
import type { EdgeCache } from "../../infra/edge-cache/port.ts";
import { decodeEvent, encodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { temporaryStore } from "../../infra/object-store/local-fixture.ts";
import type { ObjectStore } from "../../infra/object-store/port.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { createCards } from "../../projections/cards/cards.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { startProjector } from "../../projections/runner/runner.ts";
import { type Lane, startLane } from "./lanes/lane.ts";
import type { PurgeServices } from "./lanes/purges.ts";
import { until } from "./testing_until.ts";
import { ensureTopics } from "./topics.ts";

export type World = Awaited<ReturnType<typeof openWorld>>;

/** With the read model and the manifests kept up to date. */
export async function openWorld(
  engines: { log?: EventLog; store?: ObjectStore; edge?: EdgeCache } = {},
) {
  const cleanup = new AsyncDisposableStack();
  try {
    const folder = await Deno.makeTempDir();
    cleanup.defer(() => Deno.remove(folder, { recursive: true }));
    const log = engines.log ?? await openSqliteLog({ path: `${folder}/log.sqlite` });
    if (!engines.log) cleanup.defer(() => log.close());
    await empty(database);
    const sql = database;
    const store = engines.store ?? cleanup.use(await temporaryStore()).store;
    await ensureTopics(log);
    const progress = new Progress(sql);
    const logger = silentLogger;
    const projections = [
      readModel,
      createManifests({ cdnBaseUrl: "https://cdn.example" }),
      createCards({ cardCache: createMemoryCardCache() }),
    ];
    const projector = await startProjector({
      log,
      sql,
      projections,
      sealer: noText,
      logger,
      progress,
    });
    cleanup.defer(() => projector.stop());
    const services: PurgeServices = {
      log,
      sql: new LiveSql(sql),
      store,
      edge: engines.edge ?? noEdgeCache,
      sealer: noText,
      progress,
      logger,
      now: () => new Date(),
      newId,
    };

    return {
      log,
      sql,
      store,
      services,
      async append(...events: DomainEvent[]) {
        await log.append(await Promise.all(events.map((event) => encodeEvent(event, noText))));
      },
      /** Every event in the log, in no order across partitions. */
      async events(): Promise<DomainEvent[]> {
        const events: DomainEvent[] = [];
        for (const { topic, partition } of await log.watermarks(topics)) {
          for await (const records of log.read({ topic, partition }, 0)) {
            for (const record of records) events.push(await decodeEvent(record, noText));
          }
        }
        return events;
      },
      /** Resolves once the one partition that holds something has been visited, and is left for later. */
      async visited(): Promise<void> {
        // All are due at the same time until the first visit; during one, its lease is ahead.
        await until("it was visited", async () => {
          const rows = await sql.query(
            `SELECT max(visit_at) FROM lanes.cursors
             HAVING max(visit_at) > min(visit_at) AND max(visit_at) < now() + interval '30 s'`,
          );
          return rows.length > 0;
        });
      },
      /** Works on a lane while `work` runs, as if it were so many milliseconds later. */
      async onLane(lane: Lane, work: () => Promise<void>, laterMs = 0) {
        const now = () => new Date(Date.now() + laterMs);
        const visited = { ...lane, intervalMs: 20 };
        const running = await startLane(visited, { log, sql, logger, now });
        try {
          await work();
        } finally {
          await running.stop();
        }
      },
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

/** For all the worlds of one test file, one after the other. */
let database: Sql;

Deno.test.beforeAll(async () => {
  database = await openInMemory();
});
Deno.test.afterAll(() => database.close());

async function empty(sql: Sql): Promise<void> {
  const schemas = await sql.query<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace
     WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'public')`,
  );
  for (const { name } of schemas) await sql.execute(`DROP SCHEMA ${name} CASCADE`);
  await sql.execute("DROP TABLE IF EXISTS public.schema_migrations");
}

/** None of the events of these tests holds personal text. */
const noText: TextSealer = {
  seal: () => Promise.reject(new Error("an event of these tests holds personal text")),
  open: () => Promise.reject(new Error("an event of these tests holds personal text")),
};
