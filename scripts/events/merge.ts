import type { EventLog, LogRecord, TopicPartition } from "../../infra/event-log/port.ts";

/** A partition, and the offset to begin at. */
export interface Start extends TopicPartition {
  readonly from: number;
}

/** Records of one partition that are kept in memory, and of all in one batch, at most. */
const batchSize = 125;

/** When the event of a record happened, milliseconds since the epoch; by its header alone. */
export function timeOf(record: Pick<LogRecord, "headers">): number {
  // A record without one cannot be read anyway: it comes at once, so that this is found out.
  return Date.parse(record.headers.ce_time ?? "") || 0;
}

/**
 * Many partitions as one sequence: each next record is, of the next ones of all partitions, that
 * whose event happened first; of equal times, that whose partition stands first in `starts`.
 *
 * So no partition is ever reordered. Where the times in each partition never go back, neither do those
 * of the whole; where a partition's do (clocks that differ, an upload told late), its records wait for
 * their turn in the partition and then come at once. The same log gives the same sequence.
 *
 * It ends at the high watermarks as they were when it began. Memory is bounded by the number of
 * partitions, however long the log.
 */
export async function* merged(
  log: Pick<EventLog, "read">,
  starts: readonly Start[],
  signal?: AbortSignal,
): AsyncGenerator<LogRecord[]> {
  const options = { batchSize, ...(signal && { signal }) };
  const opened = starts.map((start, order) =>
    new Head(log.read(start, start.from, options)[Symbol.asyncIterator](), order)
  );
  try {
    const filled = await Promise.all(opened.map((head) => head.fill()));
    const heads = new Heap(opened.filter((_, index) => filled[index]));
    let batch: LogRecord[] = [];
    for (let first = heads.first; first; first = heads.first) {
      batch.push(first.take());
      if (first.empty && !await first.fill()) heads.remove();
      else heads.settle();
      if (batch.length < batchSize) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  } finally {
    await Promise.all(opened.map((head) => head.close()));
  }
}

/** What comes next in one partition. */
class Head {
  #records: readonly LogRecord[] = [];
  #next = 0;
  #time = 0;

  constructor(readonly iterator: AsyncIterator<LogRecord[]>, readonly order: number) {}

  get empty(): boolean {
    return this.#next >= this.#records.length;
  }

  isBefore(other: Head): boolean {
    return this.#time < other.#time || this.#time === other.#time && this.order < other.order;
  }

  take(): LogRecord {
    const record = this.#records[this.#next++];
    if (!record) throw new Error("nothing is left to take");
    this.#look();
    return record;
  }

  /** False at the end of the partition. */
  async fill(): Promise<boolean> {
    do {
      const { done, value } = await this.iterator.next();
      if (done) return false;
      this.#records = value;
      this.#next = 0;
    } while (this.empty);
    this.#look();
    return true;
  }

  async close(): Promise<void> {
    await this.iterator.return?.();
  }

  #look(): void {
    const record = this.#records[this.#next];
    if (record) this.#time = timeOf(record);
  }
}

/** A binary heap of heads, the earliest first. */
class Heap {
  readonly #heads: Head[];

  constructor(heads: readonly Head[]) {
    this.#heads = [...heads];
    for (let at = this.#heads.length >> 1; at >= 0; at--) this.#sink(at);
  }

  get first(): Head | undefined {
    return this.#heads[0];
  }

  /** To be called when the first has moved on. */
  settle(): void {
    this.#sink(0);
  }

  /** Takes the first away. */
  remove(): void {
    const last = this.#heads.pop();
    if (!last || this.#heads.length === 0) return;
    this.#heads[0] = last;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heads = this.#heads;
    for (let at = from;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        const [one, other] = [heads[child], heads[least]];
        if (one && other && one.isBefore(other)) least = child;
      }
      const [here, there] = [heads[at], heads[least]];
      if (least === at || !here || !there) return;
      heads[at] = there;
      heads[least] = here;
      at = least;
    }
  }
}
