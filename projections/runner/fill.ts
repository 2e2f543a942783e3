import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog, TopicPartition } from "../../infra/event-log/port.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { Applier } from "./applier.ts";
import { Progress } from "./progress.ts";
import { BloomMemory } from "./key-memory.ts";
import type { Projection, Told } from "./projection.ts";

export interface Filling {
  readonly log: Pick<EventLog, "read" | "watermarks">;
  readonly sql: Sql;
  readonly sealer: TextSealer;
  readonly projection: Projection;
  /** Partitions at a time, 4 when left out. */
  readonly lanes?: number;
  /** Parks what does not fit when false; true when left out. */
  readonly strict?: boolean;
  /** Nobody else writes to this version, or has parked anything of it. */
  readonly filledAlone?: boolean;
  /** Records in one transaction, 5,000 when left out. */
  readonly batchSize?: number;
}

/**
 * Brings a projection from its checkpoints to the high watermark as it is now, several partitions at
 * a time, and resolves to how many records it lacked. Each batch commits with its
 * checkpoint, so that killed at any instant it goes on where it was.
 *
 * Commits do not wait for the disk (`synchronous_commit = off`): what a crash of the server takes, it
 * takes together with its checkpoint.
 * @throws {UnfitRecord}
 */
export async function fill(
  {
    filledAlone = false,
    log,
    sql,
    sealer,
    projection,
    strict = true,
    lanes = 4,
    batchSize = 5_000,
  }: Filling,
  { signal, onStep }: Told,
): Promise<number> {
  const progress = new Progress(sql);
  const partitions = await log.watermarks(projection.topics);
  const options = { log, sql, projection, sealer, progress, strict, durable: false };
  const starts = await new Applier(options).startAt(partitions);
  const of = partitions.reduce((sum, { high }, nth) => sum + high - (starts[nth] ?? 0), 0);
  let done = 0;
  if (of === 0) return 0;
  const step = () => onStep({ what: `${projection.name} v${projection.version}`, done, of });
  step();

  const failed = new AbortController();
  const stopped = AbortSignal.any([signal, failed.signal]);
  // The longest first, so that no lane is left with a long one at the end.
  const due = partitions.map((place, nth) => ({ ...place, from: starts[nth] ?? 0 }))
    .filter(({ from, high }) => from < high)
    .sort((a, b) => (a.high - a.from) - (b.high - b.from));
  const lane = async () => {
    const memory = new BloomMemory();
    for (let next = due.pop(); next; next = due.pop()) {
      const { topic, partition, from, high }: TopicPartition & { from: number; high: number } =
        next;
      memory.forget();
      const alone = filledAlone && from === 0;
      const applier = new Applier(alone ? { ...options, memory } : options);
      await applier.startAt([{ topic, partition }]);
      const reading = log.read({ topic, partition }, from, { batchSize, signal: stopped });
      for await (const batch of reading) {
        const records = batch.filter(({ offset }) => offset < high);
        await applier.take(records, stopped);
        done += records.length;
        step();
        if (records.length < batch.length) break;
      }
    }
  };
  await Promise.all(
    Array.from({ length: lanes }, () =>
      lane().catch((error) => {
        failed.abort(error);
        throw error;
      })),
  ).catch(() => {
    throw failed.signal.reason;
  });
  return of;
}

/** Far less than a batch, so that the rest is passed in a moment. */
const nearEnough = 200;

/** Fills again and again, until what has come meanwhile is little; resolves to how many records it was. */
export async function fillUntilNear(filling: Filling, told: Told): Promise<number> {
  let records = 0;
  for (let lacked = Infinity; lacked > nearEnough;) records += lacked = await fill(filling, told);
  return records;
}
