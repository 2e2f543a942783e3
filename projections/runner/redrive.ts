import { setTimeout as delay } from "node:timers/promises";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog, LogRecord, TopicPartition } from "../../infra/event-log/port.ts";
import type { Sql, SqlTransaction } from "../../infra/sql/port.ts";
import { loadCheckpoints, placeOf } from "./checkpoints.ts";
import {
  holdPartition,
  type KeptLetter,
  lettersOf,
  type ParkedKey,
  relabel,
  removeLetters,
} from "./dead-letters.ts";
import { atVersions } from "./live-schemas.ts";
import type { Projection, Recorded, TransactionalProjection } from "./projection.ts";
import { applyFitting, type Reading, readRecords, recordedOf } from "./readings.ts";
import { redeliver } from "./redeliver.ts";
import { inSavepoint } from "./savepoint.ts";

export interface RedriveServices {
  readonly log: Pick<EventLog, "read" | "watermarks">;
  readonly sql: Sql;
  readonly sealer: TextSealer;
  /** All there are: those that come after the redriven one are told. */
  readonly projections: readonly Projection[];
}

export interface Redriven {
  readonly applied: number;
  /** The first that still does not fit. It stays, with all that follow it. */
  readonly stuck?: Pick<KeptLetter, "offset" | "category" | "message">;
}

/** Letters taken up at a time. */
const maximumPass = 500;

/** Why a letter is kept that was applied: it goes once those that come after have been told. */
const applied = {
  category: "applied",
  message: "applied; the projections that come after are still to be told",
} as const;

type Letter = Pick<KeptLetter, "offset" | "category" | "message">;
interface Pass {
  readonly events: readonly Recorded[];
  readonly stuck: Letter | undefined;
}

/**
 * Applies the letters of one key, in order, as far as they fit, and removes them.
 *
 * A letter that is there keeps live records of its key waiting behind it, so the order holds: the key
 * goes on live when no letter of it is left, and the last are removed by a transaction that holds the
 * partition's checkpoint and has seen that none came meanwhile. For an effect projection, whose live
 * batch looks for parked keys before its own transaction, it looks again once live has passed what
 * could have been under way.
 *
 * What was applied is marked in the transaction that applied it, told to the projections that come
 * after, and then removed. Killed in between, the next redrive tells it again, which they bear, and
 * applies nothing twice; an effect is repeated, which is its nature.
 */
export async function redriveKey(
  services: RedriveServices,
  projection: Projection,
  parked: ParkedKey,
  signal: AbortSignal,
): Promise<Redriven> {
  let count = 0;
  let told: number[] = [];
  for (;;) {
    signal.throwIfAborted();
    const { events, stuck } = projection.kind === "transactional"
      ? await passWithin(services, projection, parked, told, signal)
      : await passOutside(services, projection, parked, told, signal);
    if (events.length > 0) {
      await redeliver(services.projections, projection.name, events, signal);
      told = events.map(({ offset }) => offset);
      count += told.length;
      continue;
    }
    if (stuck) return { applied: count, stuck };
    if (told.length === 0 || projection.kind === "transactional") return { applied: count };
    told = [];
    await liveHasPassed(services, projection, parked, signal);
  }
}

/** Removes what has been told; applies what comes next, and marks it. */
function passWithin(
  services: RedriveServices,
  projection: TransactionalProjection,
  parked: ParkedKey,
  told: readonly number[],
  signal: AbortSignal,
): Promise<Pass> {
  return services.sql.transaction(async (transaction) => {
    await holdPartition(transaction, projection, parked);
    await removeLetters(transaction, projection, parked, told);
    const letters = await lettersOf(transaction, projection, parked, maximumPass);
    const readings = await readLetters(letters, parked, services, signal);
    // Applied by a redrive that was killed before it had told the others.
    const done = letters.findLastIndex(({ category }) => category === applied.category) + 1;
    const { fit, stuck } = await applyInOrder(
      readings.slice(done),
      letters.slice(done),
      projection,
      savepoints(transaction, projection),
    );
    const offsets = fit.map(({ offset }) => offset);
    await relabel(transaction, projection, parked, offsets, applied);
    await name(stuck, letters, transaction, projection, parked);
    return { events: [...recordedOf(readings.slice(0, done)), ...fit], stuck };
  });
}

async function passOutside(
  services: RedriveServices,
  projection: Extract<Projection, { kind: "effect" }>,
  parked: ParkedKey,
  told: readonly number[],
  signal: AbortSignal,
): Promise<Pass> {
  const { sql } = services;
  await sql.transaction(async (transaction) => {
    await holdPartition(transaction, projection, parked);
    await removeLetters(transaction, projection, parked, told);
  });
  const letters = await lettersOf(sql, projection, parked, maximumPass);
  const readings = await readLetters(letters, parked, services, signal);
  const { fit, stuck } = await applyInOrder(
    readings,
    letters,
    projection,
    (events) => projection.apply(events, signal),
  );
  await name(stuck, letters, sql, projection, parked);
  return { events: fit, stuck };
}

function savepoints(transaction: SqlTransaction, projection: TransactionalProjection) {
  const target = atVersions(transaction, new Map([[projection.name, projection.version]]));
  return (events: readonly Recorded[]) =>
    inSavepoint(transaction, () => projection.apply(events, target));
}

async function applyInOrder(
  readings: readonly Reading[],
  letters: readonly Letter[],
  { kind }: Projection,
  attempt: (events: readonly Recorded[]) => Promise<void>,
): Promise<{ fit: Recorded[]; stuck: Letter | undefined }> {
  const left = await applyFitting(readings, new Set(), kind, attempt);
  // The culprit was found before what stands behind it, which need not be the order they are given in.
  const culprit = left.find(({ category }) => category !== "behind");
  const stands = new Set(left.map(({ record }) => record.offset));
  const fit = recordedOf(readings).filter(({ offset }) => !stands.has(offset));
  if (!culprit) return { fit, stuck: undefined };
  const { record: { offset }, category, message } = culprit;
  const before = letters.find((letter) => letter.offset === offset);
  return { fit, stuck: { ...before, offset, category, message } };
}

/** A letter that stood behind one that now fits says by itself why it does not. */
async function name(
  stuck: Letter | undefined,
  letters: readonly Letter[],
  sql: SqlTransaction,
  projection: Projection,
  parked: ParkedKey,
): Promise<void> {
  if (!stuck) return;
  const before = letters.find(({ offset }) => offset === stuck.offset);
  if (before?.category !== stuck.category || before.message !== stuck.message) {
    await relabel(sql, projection, parked, [stuck.offset], stuck);
  }
}

async function readLetters(
  letters: readonly Letter[],
  parked: ParkedKey,
  { log, sealer }: RedriveServices,
  signal: AbortSignal,
): Promise<Reading[]> {
  const records = await recordsAt(log, parked, letters.map(({ offset }) => offset), signal);
  const readings = await readRecords([...records.values()], sealer);
  const read = new Map(readings.map((reading) => [reading.record.offset, reading]));
  return letters.map(({ offset }) => {
    const { topic, partition, key } = parked;
    const record = { topic, partition, offset, key, value: "", headers: {}, timestamp: 0 };
    const message = "the log holds no such record any more; it can only be dropped";
    return read.get(offset) ?? { record, letter: { record, category: "record-gone", message } };
  });
}

/** The records at these offsets, which ascend. What lies close together is read at once. */
export async function recordsAt(
  log: Pick<EventLog, "read">,
  partition: TopicPartition,
  offsets: readonly number[],
  signal: AbortSignal,
): Promise<Map<number, LogRecord>> {
  const { topic, partition: number } = partition;
  const wanted = new Set(offsets);
  const found = new Map<number, LogRecord>();
  let passed = -1;
  for (const offset of offsets) {
    if (offset <= passed) continue;
    const batches = log.read({ topic, partition: number }, offset, { batchSize: 100, signal });
    for await (const batch of batches) {
      for (const record of batch) if (wanted.has(record.offset)) found.set(record.offset, record);
      passed = batch.at(-1)?.offset ?? passed;
      break;
    }
  }
  return found;
}

/** Milliseconds within which a live batch that was under way has ended, or live is not there. */
const livePatience = 5_000;

async function liveHasPassed(
  { log, sql }: RedriveServices,
  projection: Projection,
  { topic, partition }: ParkedKey,
  signal: AbortSignal,
): Promise<void> {
  const ends = await log.watermarks([topic]);
  const high = ends.find((end) => end.partition === partition)?.high ?? 0;
  const deadline = performance.now() + livePatience;
  while (performance.now() < deadline) {
    const checkpoints = await loadCheckpoints(sql, projection);
    if ((checkpoints.get(placeOf({ topic, partition })) ?? 0) >= high) return;
    await delay(20, undefined, { signal });
  }
}
