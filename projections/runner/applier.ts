import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog, LogRecord, TopicPartition } from "../../infra/event-log/port.ts";
import type { Sql, SqlTransaction } from "../../infra/sql/port.ts";
import {
  CheckpointMoved,
  loadCheckpoints,
  type Move,
  moveCheckpoints,
  placeOf,
} from "./checkpoints.ts";
import { type DeadLetter, hasLetters, park, parkedKeys } from "./dead-letters.ts";
import type { KeyMemory } from "./key-memory.ts";
import { atVersions, type Versions } from "./live-schemas.ts";
import { batchSeconds, eventsApplied } from "./metrics.ts";
import type { Progress } from "./progress.ts";
import type { Projection, Recorded } from "./projection.ts";
import { applyFitting, liesInTheData, type Reading, readRecords, recordedOf } from "./readings.ts";
import { inSavepoint } from "./savepoint.ts";

/** A record that a strict reader cannot apply. Nothing of its batch was kept. */
export class UnfitRecord extends Error {
  override readonly name = "UnfitRecord";
  readonly category: string;
  readonly projection: Pick<Projection, "name" | "version">;
  constructor(
    { name, version }: Pick<Projection, "name" | "version">,
    readonly letter: DeadLetter,
  ) {
    const { record: { topic, partition, offset, key }, category, message } = letter;
    super(
      `${name} v${version} cannot apply ${topic}/${partition} at offset ` +
        `${offset} (key ${key}): ${category}: ${message}`,
    );
    this.category = category;
    this.projection = { name, version };
  }
}

export interface ApplierOptions {
  readonly log: Pick<EventLog, "read">;
  readonly sql: Sql;
  readonly projection: Projection;
  readonly sealer: TextSealer;
  readonly progress: Progress;
  /** Strict: a record that does not fit ends it, with an UnfitRecord. Lenient: it is parked. */
  readonly strict: boolean;
  /**
   * Whether a commit waits for the disk, true when left out. What a crash of the server takes of one
   * that did not, it takes together with its checkpoint.
   */
  readonly durable?: boolean;
  /** See `TransactionalProjection.apply`. Nothing of these partitions may have been parked. */
  readonly memory?: KeyMemory;
  /** Called with what was parked, once that has been committed. */
  onParked?(letters: readonly DeadLetter[]): void;
}

/**
 * Brings one projection's partitions from their checkpoints to what it is given, each record once.
 * One call at a time.
 */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #versions: Versions;
  /** What the checkpoints were when last read or moved. The database's compare-and-set decides. */
  #next: Map<string, number> = new Map();
  /**
   * Whether any key may be parked. Who parks one moves its partition's checkpoint in the same
   * transaction, so a no is out of date only once a checkpoint is, and that is found out.
   */
  #anyParked = true;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#versions = new Map([[options.projection.name, options.projection.version]]);
  }

  /** Where to begin on each partition; a partition that is new to the projection begins at 0. */
  async startAt(partitions: readonly TopicPartition[]): Promise<number[]> {
    await this.#reload();
    return partitions.map((partition) => this.#next.get(placeOf(partition)) ?? 0);
  }

  /**
   * Applies records of any partitions, each partition's in order. What lies below a checkpoint is
   * skipped, and what is missing between a checkpoint and the records is read from the log first.
   * When another owner turns out to have moved a checkpoint, nothing of ours is kept, and the rest
   * goes on from there.
   */
  async take(records: readonly LogRecord[], signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const due = this.#due(records);
      if (due.length === 0) return;
      try {
        for (const first of firsts(due)) await this.#closeGap(first, signal);
        await this.#commit(due, signal);
        return;
      } catch (error) {
        if (!(error instanceof CheckpointMoved)) throw error;
        await this.#reload();
      }
    }
  }

  /** What has not been passed. Partitions come in runs, so most records ask for nothing. */
  #due(records: readonly LogRecord[]): LogRecord[] {
    let [topic, partition, expected] = ["", -1, 0];
    return records.filter((record) => {
      if (record.partition !== partition || record.topic !== topic) {
        ({ topic, partition } = record);
        expected = this.#expected(record);
      }
      return record.offset >= expected;
    });
  }

  #expected(partition: TopicPartition): number {
    return this.#next.get(placeOf(partition)) ?? 0;
  }

  async #reload(): Promise<void> {
    const { sql, projection } = this.#options;
    this.#next = await loadCheckpoints(sql, projection);
    // After the checkpoints: what has been parked up to them is seen.
    this.#anyParked = await hasLetters(sql, projection);
  }

  /** A checkpoint lies behind the consumer when the database was restored from a backup. */
  async #closeGap(first: LogRecord, signal: AbortSignal): Promise<void> {
    const from = this.#expected(first);
    if (from >= first.offset) return;
    const { topic, partition } = first;
    for await (const batch of this.#options.log.read({ topic, partition }, from, { signal })) {
      const missing = batch.filter(({ offset }) => offset < first.offset);
      if (missing.length > 0) await this.#commit(missing, signal);
      if (missing.length < batch.length) return;
    }
  }

  async #commit(records: readonly LogRecord[], signal: AbortSignal): Promise<void> {
    const { projection, sealer, strict, onParked, progress } = this.#options;
    const stopTimer = batchSeconds.startTimer({ projection: projection.name });
    const moves = [...lasts(records)].map(({ topic, partition, offset }): Move => ({
      topic,
      partition,
      expected: this.#expected({ topic, partition }),
      next: offset + 1,
    }));
    const readings = await readRecords(records, sealer);
    const refuse = (letters: readonly DeadLetter[]) => {
      const [first] = letters;
      if (strict && first) throw new UnfitRecord(projection, first);
    };
    refuse(readings.flatMap((reading) => "letter" in reading ? [reading.letter] : []));
    const letters = projection.kind === "transactional"
      ? await this.#applyWithin(projection, readings, moves, refuse)
      : await this.#applyThenMove(projection, readings, moves, refuse, signal);
    for (const move of moves) this.#next.set(placeOf(move), move.next);
    stopTimer();
    eventsApplied.inc({ projection: projection.name }, records.length - letters.length);
    progress.notify(projection.name);
    if (letters.length === 0) return;
    this.#anyParked = true;
    onParked?.(letters);
  }

  /** The whole batch at once, as nearly all of them fit; else what fits of it. */
  async #applyWithin(
    projection: Extract<Projection, { kind: "transactional" }>,
    readings: readonly Reading[],
    moves: readonly Move[],
    refuse: (letters: readonly DeadLetter[]) => void,
  ): Promise<DeadLetter[]> {
    const { memory } = this.#options;
    const readable = recordedOf(readings);
    if (readable.length === readings.length && (memory || !this.#anyParked)) {
      let stumbled: unknown;
      try {
        await this.#batch(projection, moves, async (_, target) => {
          await projection.apply(readable, target, memory).catch((error) => {
            stumbled = error;
            throw error;
          });
        });
        return [];
      } catch (error) {
        // Troubles of the transaction itself are nobody's fault.
        if (error !== stumbled || !liesInTheData(error, projection.kind)) throw error;
      }
    }
    return await this.#batch(projection, moves, async (transaction, target) => {
      const records = readings.map(({ record }) => record);
      const parked = memory
        ? new Set<string>()
        : await parkedKeys(transaction, projection, records);
      const attempt = (events: readonly Recorded[]) =>
        inSavepoint(transaction, () => projection.apply(events, target, memory));
      const letters = await applyFitting(readings, parked, projection.kind, attempt);
      refuse(letters);
      await park(transaction, projection, letters);
      return letters;
    });
  }

  /** Does this, and moves the checkpoints, in one transaction. */
  #batch<T>(
    projection: Projection,
    moves: readonly Move[],
    work: (transaction: SqlTransaction, target: SqlTransaction) => Promise<T>,
  ): Promise<T> {
    const { sql, durable = true } = this.#options;
    return sql.transaction(async (transaction) => {
      if (!durable) await transaction.execute("SET LOCAL synchronous_commit = off");
      await moveCheckpoints(transaction, projection, moves);
      return await work(transaction, atVersions(transaction, this.#versions));
    });
  }

  async #applyThenMove(
    projection: Extract<Projection, { kind: "effect" }>,
    readings: readonly Reading[],
    moves: readonly Move[],
    refuse: (letters: readonly DeadLetter[]) => void,
    signal: AbortSignal,
  ): Promise<DeadLetter[]> {
    const { sql, progress } = this.#options;
    const records = readings.map(({ record }) => record);
    if (projection.after) {
      const position = lasts(records);
      while (!await progress.reached(position, projection.after, patience)) signal.throwIfAborted();
    }
    const parked = this.#anyParked ? await parkedKeys(sql, projection, records) : new Set<string>();
    const letters = await applyFitting(
      readings,
      parked,
      projection.kind,
      (events) => projection.apply(events, signal),
    );
    refuse(letters);
    signal.throwIfAborted();
    // Alone they are moved each for itself: whichever has been, its records have had their effect.
    if (letters.length === 0) await moveCheckpoints(sql, projection, moves);
    else {
      await this.#batch(projection, moves, (transaction) => park(transaction, projection, letters));
    }
    return letters;
  }
}

/** Milliseconds between two looks at whether the wait has been called off. */
const patience = 200;

/** The first record of each partition. */
function firsts(records: readonly LogRecord[]): LogRecord[] {
  const found = new Map<string, LogRecord>();
  eachRun(records, (first) => {
    const place = placeOf(first);
    if (!found.has(place)) found.set(place, first);
  });
  return [...found.values()];
}

/** The last record of each partition. */
function lasts(records: readonly LogRecord[]): LogRecord[] {
  const found = new Map<string, LogRecord>();
  eachRun(records, (_, last) => found.set(placeOf(last), last));
  return [...found.values()];
}

/** Stretches of records of one partition, of which a batch has few: by their ends. */
function eachRun(
  records: readonly LogRecord[],
  run: (first: LogRecord, last: LogRecord) => void,
): void {
  let first = records[0];
  let last = first;
  for (const record of records) {
    if (first && last && (record.partition !== first.partition || record.topic !== first.topic)) {
      run(first, last);
      first = record;
    }
    last = record;
  }
  if (first && last) run(first, last);
}
