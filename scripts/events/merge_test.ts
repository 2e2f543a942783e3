import assert from "node:assert/strict";
import fc from "fast-check";
import type { EventLog, LogRecord } from "../../infra/event-log/port.ts";
import { merged, timeOf } from "./merge.ts";

/** Partitions in memory, each in batches of its own sizes. */
function logOf(partitions: readonly (readonly LogRecord[])[]): Pick<EventLog, "read"> {
  return {
    async *read({ partition }, from, options = {}) {
      const { batchSize = 1_000 } = options;
      const records = partitions[partition]?.slice(from) ?? [];
      for (let at = 0; at < records.length; at += batchSize) {
        await Promise.resolve();
        yield records.slice(at, at + batchSize);
      }
    },
  };
}

function recordsOf(partition: number, times: readonly number[]): LogRecord[] {
  return times.map((time, offset) => ({
    ...{ topic: "posts", partition, offset, key: "", value: "", timestamp: 0 },
    headers: { ce_time: new Date(time).toISOString() },
  }));
}

async function all(log: Pick<EventLog, "read">, partitions: number): Promise<LogRecord[]> {
  const starts = Array.from({ length: partitions }, (_, partition) => ({
    ...{ topic: "posts", partition, from: 0 },
  }));
  return (await Array.fromAsync(merged(log, starts))).flat();
}

Deno.test("merged: each record is, of the next ones of all partitions, the earliest; none is reordered or lost", async () => {
  const times = fc.array(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 40 }), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(fc.asyncProperty(times, async (partitions) => {
    const records = partitions.map((times, partition) => recordsOf(partition, times));
    const out = await all(logOf(records), partitions.length);
    const next = partitions.map(() => 0);
    for (const record of out) {
      const heads = records.flatMap((its, partition) => its[next[partition] ?? 0] ?? []);
      const first = heads.reduce((a, b) => timeOf(b) < timeOf(a) ? b : a);
      assert.equal(record, first);
      next[record.partition] = record.offset + 1;
    }
    assert.equal(out.length, partitions.flat().length);
  }));
});

Deno.test("merged: reads a bounded part of each partition ahead", async () => {
  const partitions = [0, 1].map((partition) =>
    recordsOf(partition, Array.from({ length: 5_000 }, (_, nth) => nth))
  );
  let taken = 0;
  const inner = logOf(partitions);
  const log: Pick<EventLog, "read"> = {
    async *read(...args) {
      for await (const batch of inner.read(...args)) {
        taken += batch.length;
        yield batch;
      }
    },
  };
  const starts = [0, 1].map((partition) => ({ topic: "posts", partition, from: 0 }));
  let given = 0;
  for await (const batch of merged(log, starts)) {
    given += batch.length;
    assert.ok(taken - given <= 3 * 125, `${taken - given} are read ahead`);
  }
  assert.equal(given, 10_000);
});
