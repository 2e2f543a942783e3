import { UnreadableEvent } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { decodeSoon, type TextSealer } from "../../infra/event-log/codec.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { SqlError } from "../../infra/sql/port.ts";
import { type DeadLetter, keyOf } from "./dead-letters.ts";
import type { Projection, Recorded } from "./projection.ts";

/** A record as far as this build can read it. */
export type Reading =
  | { readonly record: LogRecord; readonly recorded: Recorded }
  | { readonly record: LogRecord; readonly letter: DeadLetter };

/** The events of what could be read. */
export function recordedOf(readings: readonly Reading[]): Recorded[] {
  return readings.flatMap((reading) => "recorded" in reading ? [reading.recorded] : []);
}

/**
 * Decodes records; one that is no event of ours is a reading with a letter.
 * @throws whatever the sealer throws when a key cannot be reached: that is not the record's fault.
 */
export async function readRecords(
  records: readonly LogRecord[],
  sealer: TextSealer,
): Promise<Reading[]> {
  const readings: Reading[] = [];
  const coming: Promise<void>[] = [];
  for (const [nth, record] of records.entries()) {
    const { topic, partition, offset } = record;
    const read = (event: DomainEvent) => {
      readings[nth] = { record, recorded: { topic, partition, offset, event } };
    };
    const refuse = (error: unknown) => {
      if (!(error instanceof UnreadableEvent)) throw error;
      const { category, message } = error;
      readings[nth] = { record, letter: { record, category, message } };
    };
    try {
      const event = decodeSoon(record, sealer);
      if (event instanceof Promise) coming.push(event.then(read, refuse));
      else read(event);
    } catch (error) {
      refuse(error);
    }
  }
  await Promise.all(coming);
  return readings;
}

/** SQLSTATE classes of errors that lie in what was to be written: the same data fails again. */
const dataClasses = new Set([
  "21", // cardinality violation
  "22", // data exception
  "23", // integrity constraint violation
  "54", // program limit exceeded
  "P0", // raised by our own SQL
]);

/**
 * Whether an event failed for what it says, so that it will fail again, rather than for the state of
 * the world. A transactional projection meets the world through SQL alone, so any other error it
 * throws is its own stumbling over the event. An effect projection says so with an UnreadableEvent.
 */
export function liesInTheData(error: unknown, kind: Projection["kind"]): boolean {
  if (error instanceof SqlError) return dataClasses.has(error.code.slice(0, 2));
  return kind === "transactional" || error instanceof UnreadableEvent;
}

function categoryOf(error: unknown): string {
  if (error instanceof SqlError) return `sql-${error.code}`;
  return error instanceof UnreadableEvent ? error.category : "apply-failed";
}

/**
 * Applies what can be applied, in order, and returns what cannot: each culprit, found by halving the
 * batch, and every record that comes after one of its key. `parked` names the keys that have letters
 * already, and gains those of the culprits.
 *
 * `attempt` must take back what it did when it throws.
 */
export async function applyFitting(
  readings: readonly Reading[],
  parked: Set<string>,
  kind: Projection["kind"],
  attempt: (events: readonly Recorded[]) => Promise<void>,
): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  const behind = (record: LogRecord) =>
    letters.push({
      record,
      category: "behind",
      message: "an earlier record of this key is parked",
    });

  const readable: { record: LogRecord; recorded: Recorded }[] = [];
  for (const reading of readings) {
    // Keys are asked for once there are any: almost always there are none.
    if (parked.size > 0 && parked.has(keyOf(reading.record))) behind(reading.record);
    else if ("recorded" in reading) readable.push(reading);
    else {
      letters.push(reading.letter);
      parked.add(keyOf(reading.record));
    }
  }

  // From here on `parked` stops only what comes after a culprit: those before an unreadable record
  // of their key are in `readable`, and are due.
  const failed = new Set<string>();
  const apply = async (part: typeof readable): Promise<void> => {
    const due = failed.size === 0 ? part : part.filter(({ record }) => {
      if (!failed.has(keyOf(record))) return true;
      behind(record);
      return false;
    });
    const [first] = due;
    if (!first) return;
    try {
      await attempt(due.map(({ recorded }) => recorded));
    } catch (error) {
      if (!liesInTheData(error, kind)) throw error;
      if (due.length === 1) {
        const message = error instanceof Error ? error.message : String(error);
        letters.push({ record: first.record, category: categoryOf(error), message });
        failed.add(keyOf(first.record));
        return;
      }
      const half = Math.ceil(due.length / 2);
      await apply(due.slice(0, half));
      await apply(due.slice(half));
    }
  };
  await apply(readable);
  for (const key of failed) parked.add(key);
  return letters;
}
