import { setTimeout as delay } from "node:timers/promises";
import type { ConsumeOptions, Consumption, LogRecord, TopicPartition } from "../port.ts";
import { Brokers, type ClientOptions } from "./brokers.ts";
import { Fetcher, Lead } from "./fetcher.ts";
import { type Assignment, Member } from "./member.ts";
import { isProtocolError } from "./patience.ts";
import { WakeUp } from "./wake-up.ts";

/** A partition this member owns. A new object whenever another member may have had it in between. */
interface Held extends TopicPartition {
  /** Undefined until its start is known. */
  lead: Lead | undefined;
  /** The offset to be handled next. */
  next: number;
  /** Handled up to `next`, which is not committed yet. */
  dirty: boolean;
  /** The group's committed offset says where to begin, and nobody else does. */
  byGroup: boolean;
}

/** Records that are handed over together, by partition. */
type Batch = ReadonlyMap<Held, readonly LogRecord[]>;

const firstPause = 100;
const longestPause = 5_000;
/**
 * Milliseconds between the beginnings of two batches, unless there is a whole one to be had. Records
 * that trickle in would else be handed over one by one, and each batch costs a transaction, a fetch
 * and a commit, however little is in it.
 */
const gathering = 100;
/** Milliseconds between two commits of offsets that only tell how far this member is. */
const telling = 1_000;
/** Records in a batch at most, when nobody says. */
const defaultBatch = 500;
const fenced = ["ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "UNKNOWN_MEMBER_ID"];

/**
 * One member of a consumer group. A single loop finds where to begin, takes what has been fetched, hands
 * it over and commits, so no two batches overlap. Meanwhile the group may rebalance: what was kept
 * goes on, what was lost is told to the handler and never committed.
 *
 * A partition's offset is committed after each batch where the next owner begins by it. Where
 * `startAt` says where to begin, it only tells operators how far the group is, and is committed now
 * and then and at the end.
 */
export class Consumer implements Consumption {
  readonly #options: ConsumeOptions;
  readonly #brokers: Brokers;
  readonly #member: Member;
  readonly #fetcher: Fetcher;
  readonly #stopping = new AbortController();
  readonly #wakeUp = new WakeUp();
  #assignment: Assignment = { memberId: "", generation: -1, partitions: [] };
  readonly #held = new Map<string, Held>();
  /** In hand, with what tells its handler to leave off. */
  #handling: { batch: Batch; controller: AbortController } | undefined;
  /** What the handler failed on. */
  #again: Batch = new Map();
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  /** When the last batch began, and when offsets were committed last, by `performance.now()`. */
  #began = -Infinity;
  #committed = -Infinity;

  constructor(options: ConsumeOptions, clients: ClientOptions) {
    this.#options = options;
    // Connections of its own: a broker answers one request of a connection after the other, and a fetch waits.
    this.#brokers = new Brokers(clients);
    const error = (error: unknown) => this.#onError(error);
    const wake = () => this.#wakeUp.raise();
    this.#fetcher = new Fetcher(this.#brokers, { fetched: wake, error });
    this.#member = new Member(clients, options, {
      assigned: (assignment) => this.#assign(assignment),
      failed: (error) => {
        this.#onError(error);
        wake();
      },
    });
  }

  /** Resolves when the member has joined. */
  async start(): Promise<void> {
    try {
      await this.#member.join();
    } catch (error) {
      await this.#close();
      throw error;
    }
    this.#running = this.#run();
  }

  stop(): Promise<void> {
    return this.#stopped ??= this.#stop();
  }

  async #stop(): Promise<void> {
    const reason = new DOMException("the consumer is stopping", "AbortError");
    this.#stopping.abort(reason);
    this.#handling?.controller.abort(reason);
    this.#wakeUp.raise();
    await this.#running;
    await this.#close();
  }

  async #close(): Promise<void> {
    await this.#member.leave();
    // It must know first that what the connections now cut off is no trouble.
    const fetcherClosed = this.#fetcher.close();
    await this.#brokers.close();
    await fetcherClosed;
  }

  async #run(): Promise<void> {
    let pause = firstPause;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#member.join();
        if (this.#commitIsDue()) await this.#commit();
        await this.#findStarts();
        await this.#gather();
        const batch = this.#nextBatch();
        if (batch.size > 0) await this.#deliver(batch);
        else await this.#rest();
        pause = firstPause;
      } catch (error) {
        this.#onError(error);
        await delay(pause, undefined, { signal: this.#stopping.signal }).catch(() => {});
        pause = Math.min(pause * 2, longestPause);
      }
    }
    await this.#commit().catch((error) => this.#onError(error));
  }

  /**
   * What was held is kept only if this member had it in the generation before this one: otherwise another may
   * have had it, and have got further.
   */
  #assign(assignment: Assignment): void {
    const { memberId, generation, partitions } = assignment;
    const continuous = memberId === this.#assignment.memberId &&
      generation <= this.#assignment.generation + 1;
    const before = new Map(this.#held);
    this.#assignment = assignment;
    this.#held.clear();
    for (const { topic, partition } of partitions) {
      const kept = continuous ? before.get(name({ topic, partition })) : undefined;
      const fresh = { lead: undefined, next: 0, dirty: false, byGroup: true };
      const held = kept ?? { topic, partition, ...fresh };
      this.#held.set(name(held), held);
    }
    this.#followHeld();
    const lost = [...this.#handling?.batch.keys() ?? []].some((held) => !this.#holds(held));
    if (lost) {
      this.#handling?.controller.abort(
        new DOMException("a partition was taken away", "AbortError"),
      );
    }
    this.#options.onAssigned?.(partitions);
    this.#wakeUp.raise();
  }

  #holds(held: Held): boolean {
    return this.#held.get(name(held)) === held;
  }

  #followHeld(): void {
    this.#fetcher.follow([...this.#held.values()].flatMap(({ lead }) => lead ?? []));
  }

  async #findStarts(): Promise<void> {
    const fresh = [...this.#held.values()].filter(({ lead }) => lead === undefined);
    if (fresh.length === 0) return;
    const starts = await this.#options.startAt?.(fresh.map(place)) ?? [];
    const open = fresh.filter((_, index) => starts[index] === undefined);
    const committed = await this.#member.committed(open);
    fresh.forEach((held, index) => {
      held.byGroup = starts[index] === undefined;
      held.next = starts[index] ?? committed[open.indexOf(held)] ?? 0;
      held.lead = new Lead(held, held.next);
    });
    this.#followHeld();
  }

  /** Lets what trickles in come together. */
  async #gather(): Promise<void> {
    const { maximumBatch = defaultBatch } = this.#options;
    const { fetched } = this.#fetcher;
    const left = this.#began + gathering - performance.now();
    if (this.#again.size > 0 || fetched === 0 || fetched >= maximumBatch || left <= 0) return;
    await delay(left, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }

  /** Until there may be something to do. */
  async #rest(): Promise<void> {
    if (!this.#isDirty()) return await this.#wakeUp.raised();
    const left = Math.max(0, this.#committed + telling - performance.now());
    const timer = setTimeout(() => this.#wakeUp.raise(), left);
    await this.#wakeUp.raised();
    clearTimeout(timer);
  }

  #nextBatch(): Batch {
    const again = [...this.#again].filter(([held]) => this.#holds(held));
    this.#again = new Map();
    if (again.length > 0) return new Map(again);
    const records = this.#fetcher.take(this.#options.maximumBatch ?? defaultBatch);
    const batch = new Map<Held, LogRecord[]>();
    for (const [key, ofPartition] of Map.groupBy(records, name)) {
      const held = this.#held.get(key);
      if (held) batch.set(held, ofPartition);
    }
    return batch;
  }

  async #deliver(batch: Batch): Promise<void> {
    const controller = new AbortController();
    this.#handling = { batch, controller };
    this.#began = performance.now();
    try {
      await this.#options.handle([...batch.values()].flat(), controller.signal);
      for (const [held, records] of batch) {
        held.next = (records.at(-1)?.offset ?? 0) + 1;
        held.dirty = true;
      }
    } catch (error) {
      this.#again = batch;
      if (!controller.signal.aborted || !isAbort(error, controller.signal)) throw error;
    } finally {
      this.#handling = undefined;
    }
  }

  #isDirty(): boolean {
    return this.#held.values().some(({ dirty }) => dirty);
  }

  /** At once where the next owner begins by it. */
  #commitIsDue(): boolean {
    return performance.now() >= this.#committed + telling ||
      this.#held.values().some(({ dirty, byGroup }) => dirty && byGroup);
  }

  async #commit(): Promise<void> {
    const due = [...this.#held.values()].filter(({ dirty }) => dirty)
      .map((held) => ({ held, ...place(held), next: held.next }));
    if (due.length === 0) return;
    this.#committed = performance.now();
    try {
      await this.#member.commit(this.#assignment, due);
    } catch (error) {
      // The group is about to rebalance. What is kept in it is committed then.
      if (isProtocolError(error, ...fenced)) return;
      throw error;
    }
    for (const { held, next } of due) if (held.next === next) held.dirty = false;
  }

  #onError(error: unknown): void {
    this.#options.onError?.(error);
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
