import type { TopicPartition } from "../../infra/event-log/port.ts";
import { placeOf } from "./checkpoints.ts";

/** An end of a partition that a projection had not passed, and when it was seen. */
interface Seen {
  readonly high: number;
  readonly at: number;
}

/** Kept of one partition; when there are more, every other one is forgotten. */
const maximumSeen = 256;

/**
 * How long a projection has been behind, without reading a record: of each look at the log's ends, the
 * oldest that the projection has still not passed. So it is at most the time between two looks short
 * of the age of the oldest record not yet passed, and begins at 0 with the process.
 */
export class LagAge {
  readonly #seen = new Map<string, readonly Seen[]>();

  /**
   * One look at a partition.
   * @param next the offset the projection reads next
   * @param high the offset the next record gets
   * @param at milliseconds, of a clock that only goes forward
   * @returns milliseconds it has been behind.
   */
  look(partition: TopicPartition, next: number, high: number, at: number): number {
    const place = placeOf(partition);
    const known = (this.#seen.get(place) ?? []).filter((seen) => seen.high > next);
    const last = known.at(-1);
    const seen = high > next && (!last || high > last.high) ? [...known, { high, at }] : known;
    const kept = seen.length > maximumSeen ? seen.filter((_, nth) => nth % 2 === 0) : seen;
    if (kept.length > 0) this.#seen.set(place, kept);
    else this.#seen.delete(place);
    const [oldest] = kept;
    return oldest ? at - oldest.at : 0;
  }
}
