import assert from "node:assert/strict";
import { newId } from "../../../infra/event-log/ids.ts";
import type { EventLog, LogRecord } from "../../../infra/event-log/port.ts";
import { openSqliteLog } from "../../../infra/event-log/sqlite.ts";
import { openInMemory } from "../../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../../infra/sql/port.ts";
import { openPostgres } from "../../../infra/sql/postgres.ts";
import { createDatabase, onPostgres } from "../../../infra/sql/postgres_fixture.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { until } from "../testing_until.ts";
import { startLane } from "./lane.ts";

const aMinute = 60_000;

type Handler = (records: readonly LogRecord[], signal: AbortSignal) => Promise<void>;

function laneTests(engine: string, open: () => Promise<{ sql: Sql } & AsyncDisposable>): void {
  /** One for all of them: each has a topic of its own. */
  let database: Awaited<ReturnType<typeof open>> | undefined;
  const test = (claim: string, body: (world: Awaited<ReturnType<typeof openWorld>>) => unknown) =>
    Deno.test(`startLane (${engine}): ${claim}`, async () => {
      assert(database);
      await using world = await openWorld(database.sql);
      await body(world);
    });
  Deno.test.beforeAll(async () => {
    database = await open();
  });
  Deno.test.afterAll(async () => {
    await database?.[Symbol.asyncDispose]();
  });

  async function openWorld(sql: Sql) {
    const topic = `lane-${newId()}`;
    const folder = await Deno.makeTempDir();
    const log = await openSqliteLog({ path: `${folder}/log.sqlite` });
    await log.ensureTopics([{ name: topic, partitions: 4 }]);
    return {
      /** How many of this world's cursors there are of which this holds. */
      async count(condition: string): Promise<number | undefined> {
        const [row] = await sql.query<{ count: number }>(
          `SELECT count(*) AS count FROM lanes.cursors WHERE topic = $1 AND ${condition}`,
          [topic],
        );
        return row?.count;
      },
      append: (...values: number[]) => append(log, topic, values),
      /** A visitor whose clock is so much ahead of ours. */
      visit: (handle: Handler, aheadMs = 2 * aMinute) =>
        startLane(
          { topic, delayMs: aMinute, intervalMs: 20, batchSize: 100, handle },
          { log, sql, logger: silentLogger, now: () => new Date(Date.now() + aheadMs) },
        ),
      /** As when time has passed: whoever has claimed a partition is thought dead. */
      endLeases: () =>
        sql.query("UPDATE lanes.cursors SET visit_at = now() WHERE topic = $1", [topic]),
      cursors: async () =>
        (await sql.query<{ next_offset: number }>(
          "SELECT next_offset FROM lanes.cursors WHERE topic = $1",
          [topic],
        )).reduce((sum, { next_offset }) => sum + next_offset, 0),
      async [Symbol.asyncDispose]() {
        await log.close();
        await Deno.remove(folder, { recursive: true });
      },
    };
  }

  test("records come when they are due, each partition's in order, and not before", async (world) => {
    const values = Array.from({ length: 1_200 }, (_, index) => index);
    await world.append(...values);
    const handled: LogRecord[] = [];
    const handle: Handler = (records) => (handled.push(...records), Promise.resolve());

    const early = await world.visit(handle, aMinute / 2);
    await until(
      "each partition has been visited",
      async () => await world.count("visit_at <= now()") === 0,
    );
    await early.stop();
    assert.equal(handled.length, 0);

    const late = await world.visit(handle);
    await until("all are handled", () => handled.length >= values.length);
    await late.stop();
    assert.deepEqual(handled.map(({ value }) => Number(value)).sort((a, b) => a - b), values);
    for (const ofPartition of Map.groupBy(handled, ({ partition }) => partition).values()) {
      assert.deepEqual(ofPartition.map(({ offset }) => offset), ofPartition.map((_, n) => n));
    }
    assert.equal(await world.cursors(), values.length);

    await world.append(-1);
    const again = await world.visit(handle);
    await until("the new one is handled", () => handled.length > values.length);
    await again.stop();
    assert.deepEqual(handled.at(-1)?.value, "-1", "and none of the others a second time");
  });

  test("what its handler fails on comes again, and is passed once", async (world) => {
    await world.append(1, 2, 3);
    let failures = 0;
    const handled: string[] = [];
    const visitor = await world.visit((records) => {
      if (failures++ < 3) return Promise.reject(new Error("not now"));
      handled.push(...records.map(({ value }) => value));
      return Promise.resolve();
    });
    await until("all are handled", () => handled.length >= 3);
    await visitor.stop();
    assert.deepEqual(handled.sort(), ["1", "2", "3"]);
  });

  test("several visitors share the partitions, and none does another's work", async (world) => {
    await world.append(...Array.from({ length: 400 }, (_, index) => index));
    const handled: string[] = [];
    const handle: Handler = async (records) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      handled.push(...records.map(({ value }) => value));
    };
    const visitors = await Promise.all(Array.from({ length: 8 }, () => world.visit(handle)));
    await until("all are handled", async () => await world.cursors() === 400);
    for (const visitor of visitors) await visitor.stop();
    assert.equal(handled.length, 400);
    assert.equal(new Set(handled).size, 400);
  });

  test("of a visitor that dies another takes over, and a late one sets nothing back", async (world) => {
    await world.append(...Array.from({ length: 40 }, (_, index) => index));
    const stuck = Promise.withResolvers<void>();
    let reached = 0;
    const dead = await world.visit(() => {
      reached++;
      return stuck.promise;
    });
    await until("it has taken one up", () => reached === 1);

    const handled: string[] = [];
    const living = await world.visit((records) => {
      handled.push(...records.map(({ value }) => value));
      return Promise.resolve();
    });
    await until(
      "all but its partition are handled",
      async () => await world.count("next_offset = 0") === 1,
    );
    assert(handled.length < 40, "what is claimed is left alone");
    await world.endLeases();
    await until("all are handled", () => handled.length === 40);
    // To each partition, so that the dead one's offset is behind.
    await world.append(...Array.from({ length: 40 }, (_, index) => index));
    await until("these are handled too", async () => await world.cursors() === 80);
    await living.stop();

    stuck.resolve();
    await dead.stop();
    assert.equal(await world.cursors(), 80);
    assert.equal(reached, 1, "it found that the partition is another's");
  });

  test("who is stopped in the middle leaves its partition to others at once", async (world) => {
    await world.append(1);
    let begun = false;
    const stopped = await world.visit((_, signal) => {
      begun = true;
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason))
      );
    });
    await until("it is at it", () => begun);
    await stopped.stop();
    const handled: string[] = [];
    const next = await world.visit((records) => {
      handled.push(...records.map(({ value }) => value));
      return Promise.resolve();
    });
    await until("the next has done it", () => handled.length > 0);
    await next.stop();
    assert.deepEqual(handled, ["1"]);
  });
}

async function append(log: EventLog, topic: string, values: readonly number[]): Promise<void> {
  await log.append(values.map((value) => ({
    topic,
    key: newId(),
    value: String(value),
    headers: {},
  })));
}

laneTests("pglite", async () => {
  const sql = await openInMemory();
  return { sql, [Symbol.asyncDispose]: () => sql.close() };
});

onPostgres("apps/projector/lanes", (server) =>
  laneTests("postgres", async () => {
    const { url, remove } = await createDatabase(server);
    const sql = await openPostgres({ url });
    return {
      sql,
      async [Symbol.asyncDispose]() {
        await sql.close();
        await remove();
      },
    };
  }));
