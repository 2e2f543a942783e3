import { setTimeout as delay } from "node:timers/promises";
import { newId } from "../ids.ts";
import type {
  Appended,
  ConsumeOptions,
  Consumption,
  LogRecord,
  TopicPartition,
  TopicSpec,
} from "../port.ts";
import type { Groups, Reconciled } from "./groups.ts";
import type { Records } from "./records.ts";
import type { Writer } from "./writer.ts";

/** A partition this member owns. */
interface Held extends TopicPartition {
  /** The offset to be handled next; undefined until its start is known. */
  next: number | undefined;
  readonly committed: number | undefined;
  /** Handled up to `next`, which is not committed yet. */
  dirty: boolean;
  /** All there was has been read: not worth asking again until something is appended. */
  exhausted: boolean;
}

interface Batch {
  readonly ends: ReadonlyMap<Held, number>;
  readonly controller: AbortController;
}

const firstPause = 100;
const longestPause = 5_000;

/**
 * One member of a consumer group. A single loop settles what the member owns, reads, hands over and
 * commits, so no two batches overlap. Meanwhile `tick` keeps the session alive and lets partitions
 * go; those of the batch in hand are kept until it has ended and is committed.
 */
export class Consumer implements Consumption {
  readonly #options: ConsumeOptions;
  readonly #topics: readonly TopicSpec[];
  readonly #records: Records;
  readonly #groups: Groups;
  readonly #writer: Writer;
  readonly #heartbeatInterval: number;
  readonly #stopping = new AbortController();
  readonly #wakeUp = new WakeUp();
  #member = "";
  #generation = -1;
  #heartbeatDue = 0;
  /** The one that was served longest ago comes first. */
  readonly #held = new Map<string, Held>();
  #batch: Batch | undefined;
  #settling: Promise<void> | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    options: ConsumeOptions,
    topics: readonly TopicSpec[],
    parts: { records: Records; groups: Groups; writer: Writer },
    sessionTimeout: number,
  ) {
    this.#options = options;
    this.#topics = topics;
    this.#records = parts.records;
    this.#groups = parts.groups;
    this.#writer = parts.writer;
    this.#heartbeatInterval = sessionTimeout / 6;
  }

  /** Resolves when the member has joined. */
  async start(): Promise<void> {
    await this.#join();
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    const reason = new DOMException("the consumer is stopping", "AbortError");
    this.#stopping.abort(reason);
    this.#batch?.controller.abort(reason);
    this.#wakeUp.raise();
    await this.#running;
  }

  /** Called after this process has appended. */
  appended(places: readonly Appended[]): void {
    for (const place of places) {
      const held = this.#held.get(name(place));
      if (!held) continue;
      held.exhausted = false;
      this.#wakeUp.raise();
    }
  }

  /** Called every few milliseconds; `changed` when another process has written. */
  tick(now: number, changed: boolean): void {
    if (now >= this.#heartbeatDue) {
      this.#heartbeatDue = now + this.#heartbeatInterval;
      this.#attempt(() =>
        this.#writer.write(() => this.#groups.heartbeat(this.#options.group, this.#member, now))
      );
    }
    if (changed) {
      for (const held of this.#held.values()) held.exhausted = false;
      this.#wakeUp.raise();
    }
    // A member that is stopping leaves soon, and must not join again by settling.
    if (!this.#settling && !this.#stopping.signal.aborted) {
      this.#attempt(async () => {
        if (this.#isSettled()) return;
        await this.#settle();
        this.#wakeUp.raise();
      });
    }
  }

  async #run(): Promise<void> {
    let pause = firstPause;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#commit();
        await this.#settle();
        await this.#findStarts();
        // Held is only what it seems while nothing is being settled.
        if (this.#settling) continue;
        const records = this.#fetch();
        if (records.length === 0) await this.#wakeUp.raised();
        else await this.#deliver(records);
        pause = firstPause;
      } catch (error) {
        this.#options.onError?.(error);
        await delay(pause, undefined, { signal: this.#stopping.signal }).catch(() => {});
        pause = Math.min(pause * 2, longestPause);
      }
    }
    await this.#attempt(async () => await this.#settling);
    await this.#attempt(() => this.#commit());
    await this.#attempt(() =>
      this.#writer.write(() => this.#groups.leave(this.#options.group, this.#member))
    );
  }

  /** An id of its own for each session: see `Groups`. */
  async #join(): Promise<void> {
    const member = newId();
    const now = Date.now();
    await this.#writer.write(() =>
      this.#groups.join(this.#options.group, member, this.#topics, now)
    );
    this.#member = member;
    this.#generation = -1;
    this.#heartbeatDue = now + this.#heartbeatInterval;
  }

  /** Brings what is held into line with the group's generation. One at a time. */
  #settle(): Promise<void> {
    return this.#settling ??= this.#reconcile().finally(() => this.#settling = undefined);
  }

  async #reconcile(): Promise<void> {
    const { group, onAssigned } = this.#options;
    while (!this.#isSettled()) {
      const reconciled = await this.#writer.write(() =>
        this.#groups.reconcile(group, this.#member, [...this.#batch?.ends.keys() ?? []])
      );
      if (reconciled === undefined) {
        this.#held.clear();
        this.#loseBatch();
        await this.#join();
        continue;
      }
      this.#hold(reconciled);
      // What is leaving is asked for again when the batch has ended; if it has already, at once.
      if (reconciled.leaving.length > 0 && !this.#loseBatch()) this.#generation = -1;
      onAssigned?.(reconciled.owned.map(place));
    }
  }

  #isSettled(): boolean {
    return this.#groups.generation(this.#options.group) === this.#generation;
  }

  /** False when there is no batch in hand. */
  #loseBatch(): boolean {
    this.#batch?.controller.abort(new DOMException("a partition was taken away", "AbortError"));
    return this.#batch !== undefined;
  }

  #hold({ generation, owned }: Reconciled): void {
    this.#generation = generation;
    const kept = new Set(owned.map(name));
    for (const key of this.#held.keys()) if (!kept.has(key)) this.#held.delete(key);
    for (const { topic, partition, committed } of owned) {
      const key = name({ topic, partition });
      if (this.#held.has(key)) continue;
      this.#held.set(key, {
        topic,
        partition,
        next: undefined,
        committed,
        dirty: false,
        exhausted: false,
      });
    }
  }

  async #findStarts(): Promise<void> {
    const fresh = [...this.#held.values()].filter((held) => held.next === undefined);
    if (fresh.length === 0) return;
    const starts = await this.#options.startAt?.(fresh.map(place)) ?? [];
    fresh.forEach((held, index) => held.next = starts[index] ?? held.committed ?? 0);
  }

  /**
   * The same share for every partition that has records, as long as there is room; what some leave is
   * shared by the others. One that came while starts were being looked up has none yet and is left for
   * the next round, for which its coming has raised the wake-up.
   */
  #fetch(): LogRecord[] {
    let room = this.#options.maximumBatch ?? 500;
    const batch = new Map<Held, LogRecord[]>();
    let waiting = [...this.#held.values()].filter(hasStart).filter((held) => !held.exhausted);
    while (room > 0 && waiting.length > 0) {
      const share = Math.ceil(room / waiting.length);
      for (const held of waiting) {
        const limit = Math.min(share, room);
        if (limit === 0) continue;
        const taken = batch.get(held) ?? [];
        const records = this.#records.read(held, held.next + taken.length, limit);
        room -= records.length;
        held.exhausted = records.length < limit;
        if (records.length > 0) batch.set(held, [...taken, ...records]);
      }
      waiting = waiting.filter((held) => !held.exhausted);
    }
    return [...batch.values()].flat();
  }

  async #deliver(records: readonly LogRecord[]): Promise<void> {
    const ends = new Map<Held, number>();
    for (const record of records) {
      const held = this.#held.get(name(record));
      if (held) ends.set(held, record.offset + 1);
    }
    const controller = new AbortController();
    this.#batch = { ends, controller };
    try {
      await this.#options.handle(records, controller.signal);
      this.#advance(ends);
      await this.#commit();
    } catch (error) {
      for (const held of ends.keys()) held.exhausted = false;
      if (!controller.signal.aborted || !isAbort(error, controller.signal)) throw error;
    } finally {
      this.#batch = undefined;
      if (controller.signal.aborted) this.#generation = -1;
    }
  }

  #advance(ends: ReadonlyMap<Held, number>): void {
    for (const [held, end] of ends) {
      const key = name(held);
      // It may have been lost, and even be held anew, while the handler ran.
      if (this.#held.get(key) !== held) continue;
      held.next = end;
      held.dirty = true;
      this.#held.delete(key);
      this.#held.set(key, held);
    }
  }

  async #commit(): Promise<void> {
    const due = [...this.#held.values()].flatMap(({ topic, partition, next, dirty }) =>
      dirty && next !== undefined ? [{ topic, partition, next }] : []
    );
    if (due.length === 0) return;
    await this.#writer.write(() => this.#groups.commit(this.#options.group, this.#member, due));
    for (const place of due) {
      const held = this.#held.get(name(place));
      if (held?.next === place.next) held.dirty = false;
    }
  }

  /** Does what is done again by itself if it fails. */
  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.onError?.(error);
    }
  }
}

function hasStart(held: Held): held is Held & { next: number } {
  return held.next !== undefined;
}

/** Remembers that it was raised until somebody has waited for it, so that no wake-up is lost. */
class WakeUp {
  #flag = Promise.withResolvers<void>();

  raise(): void {
    this.#flag.resolve();
  }

  async raised(): Promise<void> {
    await this.#flag.promise;
    this.#flag = Promise.withResolvers<void>();
  }
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === "AbortError");
}

function place({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}

function name({ topic, partition }: TopicPartition): string {
  return `${topic}:${partition}`;
}
