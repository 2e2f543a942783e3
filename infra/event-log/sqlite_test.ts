import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { testEventLog } from "./contract.ts";
import { until } from "./contract_bench.ts";
import { partitionOf } from "./partitioner.ts";
import { type EventLog, type LogRecord, LogUnavailable } from "./port.ts";
import { openSqliteLog } from "./sqlite.ts";

testEventLog("sqlite", async () => {
  const folder = await Deno.makeTempDir({ prefix: "event-log-" });
  const path = `${folder}/events.db`;
  return {
    open: () => openSqliteLog({ path }),
    elsewhere: { fixture: new URL("./sqlite_fixture.ts", import.meta.url), args: [path] },
    dispose: () => Deno.remove(folder, { recursive: true }),
  };
});

async function withLog(body: (log: EventLog, path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "event-log-" });
  const path = `${folder}/events.db`;
  const log = await openSqliteLog({ path });
  try {
    await body(log, path);
  } finally {
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** One key of each partition. */
function keys(partitions: number): string[] {
  const found = new Map<number, string>();
  for (let index = 0; found.size < partitions; index++) {
    const partition = partitionOf(`key-${index}`, partitions);
    if (!found.has(partition)) found.set(partition, `key-${index}`);
  }
  return Array.from({ length: partitions }, (_, partition) => found.get(partition) ?? "");
}

Deno.test("sqlite consume: partitions that come while starts are being looked up wait for theirs", async () => {
  await withLog(async (log) => {
    await log.ensureTopics([{ name: "posts", partitions: 4 }]);
    const options = { group: "group", topics: ["posts"] };
    const first = await log.consume({ ...options, handle: () => Promise.resolve() });
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    let assigned = 0;
    const handled: LogRecord[] = [];
    const second = await log.consume({
      ...options,
      onAssigned: (partitions) => assigned = partitions.length,
      startAt: async (partitions) => {
        asked.resolve();
        await answer.promise;
        return partitions.map(() => 0);
      },
      handle: (records) => Promise.resolve(void handled.push(...records)),
    });
    await asked.promise;
    await first.stop();
    await until(() => assigned === 4, "the other half has come");
    answer.resolve();
    await log.append(keys(4).map((key) => ({ topic: "posts", key, value: "", headers: {} })));
    await until(() => handled.length === 4, "all partitions are handled");
    await second.stop();
  });
});

Deno.test("sqlite consume: a long partition does not keep the others waiting", async () => {
  await withLog(async (log) => {
    await log.ensureTopics([{ name: "posts", partitions: 4 }]);
    const [long = "", ...short] = keys(4);
    await log.append(
      [...Array.from({ length: 1_000 }, () => long), ...short].map((key) => ({
        topic: "posts",
        key,
        value: "",
        headers: {},
      })),
    );
    for (const maximumBatch of [2, 10]) {
      const batches: string[][] = [];
      const consumption = await log.consume({
        group: `at most ${maximumBatch}`,
        topics: ["posts"],
        maximumBatch,
        handle: (records) => {
          batches.push(records.map(({ key }) => key));
          return Promise.resolve();
        },
      });
      await until(() => batches.flat().length >= 1_003, "all were handled");
      await consumption.stop();
      const early = batches.slice(0, Math.ceil(4 / maximumBatch)).flat();
      assert.ok(short.every((key) => early.includes(key)), `${early}`);
      const [full] = batches.toReversed().slice(1);
      assert.equal(full?.length, maximumBatch, "what the others leave is the long one's");
    }
  });
});

Deno.test("sqlite consume: a handler is told when a partition of its batch is taken away", async () => {
  await withLog(async (log, path) => {
    await log.ensureTopics([{ name: "posts", partitions: 2 }]);
    await log.append(keys(2).map((key) => ({ topic: "posts", key, value: "", headers: {} })));
    const errors: unknown[] = [];
    const handled: string[] = [];
    function note(by: string, records: readonly LogRecord[]): void {
      handled.push(...records.map(({ key }) => `${by} ${key}`));
    }
    let first = true;
    const slow = await log.consume({
      group: "g",
      topics: ["posts"],
      onError: (error) => errors.push(error),
      handle: async (records, signal) => {
        if (!first) return note("slow", records);
        first = false;
        assert.equal(records.length, 2);
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason))
        );
      },
    });
    await until(() => !first, "the slow member has both in hand");
    const other = await openSqliteLog({ path });
    const quick = await other.consume({
      group: "g",
      topics: ["posts"],
      handle: (records) => Promise.resolve(note("quick", records)),
    });
    await until(() => handled.length >= 2, "both were handled");
    await Promise.all([slow.stop(), quick.stop()]);
    await other.close();
    assert.deepEqual(handled.map((line) => line.split(" ")[0]).toSorted(), ["quick", "slow"]);
    assert.equal(new Set(handled.map((line) => line.split(" ")[1])).size, 2);
    assert.deepEqual(errors, [], "leaving off is no failure");
  });
});

Deno.test("sqlite open: refuses a file of another schema", async () => {
  await withLog(async (log, path) => {
    await log.close();
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 99");
    database.close();
    await assert.rejects(openSqliteLog({ path }), LogUnavailable);
  });
});

Deno.test("sqlite append: while another holds the lock it waits, and the event loop does not", async () => {
  await withLog(async (log, path) => {
    await log.ensureTopics([{ name: "posts", partitions: 1 }]);
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    let settled = false;
    const appending = log.append([{ topic: "posts", key: "k", value: "", headers: {} }])
      .finally(() => settled = true);
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setTimeout(resolve));
    assert.equal(settled, false);
    other.exec("ROLLBACK");
    other.close();
    assert.deepEqual(await appending, [{ topic: "posts", partition: 0, offset: 0 }]);
  });
});
