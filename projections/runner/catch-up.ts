import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { Applier } from "./applier.ts";
import { ensureProjection } from "./control.ts";
import { Progress } from "./progress.ts";
import type { Projection } from "./projection.ts";

/**
 * Brings a projection from its checkpoints, 0 for a new one, to the high watermark as it is now,
 * partition by partition, and resolves to the number of records passed. Killed half-way it goes on
 * where it was.
 *
 * Strict stops at the first record that does not fit: a rebuild that skipped an event would not be
 * one. Lenient parks it.
 * @throws {UnfitRecord} when strict.
 */
export async function catchUp(
  projection: Projection,
  { log, sql, sealer, strict, batchSize = 500, signal = new AbortController().signal }: {
    log: EventLog;
    sql: Sql;
    sealer: TextSealer;
    strict: boolean;
    batchSize?: number;
    signal?: AbortSignal;
  },
): Promise<number> {
  await ensureProjection(sql, log, projection);
  const progress = new Progress(sql);
  const applier = new Applier({ log, sql, projection, sealer, progress, strict });
  const partitions = await log.watermarks(projection.topics);
  const starts = await applier.startAt(partitions);
  let passed = 0;
  for (const [index, { topic, partition }] of partitions.entries()) {
    const from = starts[index] ?? 0;
    for await (const batch of log.read({ topic, partition }, from, { batchSize, signal })) {
      await applier.take(batch, signal);
      passed += batch.length;
    }
  }
  return passed;
}
