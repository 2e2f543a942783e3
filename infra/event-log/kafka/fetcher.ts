import { setTimeout as delay } from "node:timers/promises";
import type { LogRecord, TopicPartition } from "../port.ts";
import type { Brokers } from "./brokers.ts";
import { WakeUp } from "./wake-up.ts";

/** A partition being read ahead. */
export class Lead {
  readonly topic: string;
  readonly partition: number;
  /** The offset to be fetched next: that of the first record not in `records`. */
  next: number;
  /** Fetched and not taken yet. */
  records: LogRecord[] = [];

  constructor({ topic, partition }: TopicPartition, next: number) {
    this.topic = topic;
    this.partition = partition;
    this.next = next;
  }
}

/** Records of one partition that are fetched ahead, at least. */
const ahead = 1_000;
/** Records in an answer from which on a broker is asked for more before these are taken. */
const plenty = 100;
/** Bytes of one partition in one answer. */
const bytes = 256 * 1024;
/** Milliseconds a broker waits for records; briefly when some partitions have enough for now. */
const wait = { long: 1_000, short: 20 };
/** Milliseconds before asking again after a trouble. */
const pause = 250;

/**
 * Reads ahead of a consumer: one request under way to each broker that leads some of its partitions,
 * while the records fetched before are being handled. A broker that had only a few is asked again
 * once these have been taken, so that records that trickle in cost a request a batch, not one each.
 */
export class Fetcher {
  readonly #brokers: Brokers;
  readonly #onFetched: () => void;
  readonly #onError: (error: unknown) => void;
  readonly #closing = new AbortController();
  readonly #wakeUp = new WakeUp();
  readonly #polls = new Map<number, Promise<void>>();
  /** Brokers that have answered with little since records were taken last: no more of it yet. */
  readonly #trickling = new Set<number>();
  readonly #running: Promise<void>;
  /** The one that was served longest ago comes first. */
  #leads: Lead[] = [];

  constructor(brokers: Brokers, on: { fetched(): void; error(error: unknown): void }) {
    this.#brokers = brokers;
    this.#onFetched = on.fetched;
    this.#onError = on.error;
    this.#running = this.#run();
  }

  /** Reads these from now on and forgets the others. */
  follow(leads: readonly Lead[]): void {
    this.#leads = [...leads];
    this.#trickling.clear();
    this.#wakeUp.raise();
  }

  /** How many records can be taken. */
  get fetched(): number {
    return this.#leads.reduce((sum, { records }) => sum + records.length, 0);
  }

  /**
   * At most so many records, the same share of every partition that has any; what some leave is shared
   * by the others.
   */
  take(maximum: number): LogRecord[] {
    const counts = new Map<Lead, number>();
    let room = maximum;
    let waiting = this.#leads.filter(({ records }) => records.length > 0);
    while (room > 0 && waiting.length > 0) {
      const share = Math.ceil(room / waiting.length);
      for (const lead of waiting) {
        const before = counts.get(lead) ?? 0;
        const count = Math.min(share, room, lead.records.length - before);
        if (count > 0) counts.set(lead, before + count);
        room -= count;
      }
      waiting = waiting.filter((lead) => lead.records.length > (counts.get(lead) ?? 0));
    }
    this.#leads = [...this.#leads.filter((lead) => !counts.has(lead)), ...counts.keys()];
    this.#trickling.clear();
    this.#wakeUp.raise();
    return [...counts].flatMap(([lead, count]) => lead.records.splice(0, count));
  }

  /** What is under way ends with the connections: close them before this is waited for. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wakeUp.raise();
    await this.#running;
    await Promise.all(this.#polls.values());
  }

  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        await this.#startPolls();
        await this.#wakeUp.raised();
      } catch (error) {
        await this.#rest(error);
      }
    }
  }

  /** To each leader that has no request under way. */
  async #startPolls(): Promise<void> {
    const hungry = this.#leads.filter(({ records }) => records.length < ahead);
    if (hungry.length === 0) return;
    const leaders = await this.#brokers.byLeader(hungry);
    const limits = { bytes, wait: hungry.length < this.#leads.length ? wait.short : wait.long };
    for (const [node, leads] of leaders) {
      if (this.#polls.has(node) || this.#trickling.has(node)) continue;
      const poll = this.#poll(node, leads, limits).finally(() => {
        this.#polls.delete(node);
        this.#wakeUp.raise();
      });
      this.#polls.set(node, poll);
    }
  }

  async #poll(
    node: number,
    leads: readonly Lead[],
    limits: { wait: number; bytes: number },
  ): Promise<void> {
    try {
      const asked = leads.map(({ topic, partition, next }) => ({ topic, partition, next }));
      const answer = await this.#brokers.fetch(node, asked, limits);
      let count = 0;
      for (const { topic, partition, records, next } of answer) {
        const index = asked.findIndex((at) => at.topic === topic && at.partition === partition);
        const lead = leads[index];
        // Another leader may have answered in between.
        if (!lead || lead.next !== asked[index]?.next) continue;
        lead.records.push(...records);
        lead.next = next;
        // Of what is not followed any more nothing will be taken.
        if (this.#leads.includes(lead)) count += records.length;
      }
      if (count > 0 && count < plenty) this.#trickling.add(node);
      if (count > 0) this.#onFetched();
      const troubled = answer.find(({ error }) => error !== undefined);
      if (troubled) throw troubled.error;
    } catch (error) {
      await this.#rest(error);
    }
  }

  async #rest(error: unknown): Promise<void> {
    const { signal } = this.#closing;
    if (signal.aborted) return;
    this.#onError(error);
    await delay(pause, undefined, { signal }).catch(() => {});
  }
}
