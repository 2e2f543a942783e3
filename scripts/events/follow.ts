import { setTimeout as delay } from "node:timers/promises";
import type { EventLog, LogRecord } from "../../infra/event-log/port.ts";
import { merged, type Start, timeOf } from "./merge.ts";

/**
 * Milliseconds for which a new event is held back, by its own time, so that those that happened
 * before it, in other partitions, can still arrive and come first.
 */
export const latenessMs = 2_000;

/** Milliseconds between two looks at the log. */
const pollMs = 200;
/** Records of one partition taken at a look, at most: what is held back stays in memory. */
const atALook = 2_000;

/**
 * What the log holds, merged, and from then on what comes, until the signal aborts.
 *
 * No partition is ever reordered. What was there at the start is ordered as `merged` says. What comes
 * later is ordered by time as far as it reaches the log within `latenessMs` of happening; what takes
 * longer comes when it has arrived, behind later ones.
 */
export async function* followed(
  log: Pick<EventLog, "read" | "watermarks">,
  starts: readonly Start[],
  signal: AbortSignal,
  now: () => number = Date.now,
): AsyncGenerator<LogRecord[]> {
  const tails = starts.map((start) => ({ ...start, next: start.from, held: [] as LogRecord[] }));
  const tailOf = new Map(tails.map((tail) => [`${tail.topic}/${tail.partition}`, tail]));
  for await (const records of merged(log, starts, signal)) {
    for (const { topic, partition, offset } of records) {
      const tail = tailOf.get(`${topic}/${partition}`);
      if (tail) tail.next = offset + 1;
    }
    yield records;
  }
  const topics = [...new Set(starts.map(({ topic }) => topic))];
  while (!signal.aborted) {
    for (const { topic, partition, high } of await log.watermarks(topics)) {
      const tail = tailOf.get(`${topic}/${partition}`);
      if (!tail || high <= tail.next) continue;
      for await (const records of log.read(tail, tail.next)) {
        tail.held.push(...records);
        tail.next += records.length;
        if (tail.held.length >= atALook) break;
      }
    }
    const ripe = now() - latenessMs;
    const batch: LogRecord[] = [];
    for (;;) {
      let first: LogRecord[] | undefined;
      for (const { held } of tails) {
        const [one] = held;
        if (!one || timeOf(one) > ripe) continue;
        if (!first?.[0] || timeOf(one) < timeOf(first[0])) first = held;
      }
      const record = first?.shift();
      if (!record) break;
      batch.push(record);
    }
    if (batch.length > 0) yield batch;
    await delay(pollMs, undefined, { signal }).catch(() => {});
  }
}
