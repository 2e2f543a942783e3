import assert from "node:assert/strict";
import fc from "fast-check";
import { v7 } from "uuid";
import { catalogue, type DomainEvent } from "../../../domain/events.ts";
import type { FeedCache } from "../../../infra/feed-cache/port.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { createFeeds, type Feeds } from "../../../projections/feeds/feeds.ts";
import { newest } from "../../../projections/read-model/reads/keyset.ts";
import type { Recorded } from "../../../projections/runner/projection.ts";
import { feedSkeleton } from "../cards/skeleton.ts";
import { FeedFiller } from "../feed-filler.ts";
import { Interleaver, Process } from "./interleaver.ts";
import { MemorySql } from "./memory-sql.ts";
import { visibleTo } from "./visible.ts";
import { blocked, followed, handleOf, postCreated, type Said, unfollowed } from "./events.ts";

const people = 3;
/** Followers from which on an author is pulled; with fewer than two they are pushed again. */
const pullThreshold = 2;

const person = fc.nat(people - 1);
/** Mostly the same, so that what happens happens to each other. */
const author = fc.constantFrom(0, 0, 0, 1, 2);
const two = fc.tuple(person, author).filter(([a, b]) => a !== b);
/** How many projections take an event at once: none, the read model, the feeds too. */
const through = fc.nat(2);
const partition = fc.nat(99);
const any = fc.nat(9);

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("post" as const), author, through }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), nth: any }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("follow" as const), two, through }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("unfollow" as const), two, through }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("block" as const), two, through }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("unblock" as const), two, through }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("readModel" as const), partition }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("feeds" as const), partition, again: fc.nat(2) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("slice" as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      reader: person,
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("evict" as const), reader: person }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("evictList" as const), author }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lapse" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("kill" as const), nth: any }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("rebuild" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A history, and how what is under way falls together: after each step, which calls go on. */
export const history = fc.record({
  follows: fc.array(two, { maxLength: 9, size: "max" }),
  /** Who has read before, and who has posted: with followers enough, authors are pulled already. */
  warm: fc.array(person, { maxLength: people }),
  posted: fc.array(author, { maxLength: 5 }),
  followersAtATime: fc.constantFrom(1, 2, people),
  cached: fc.integer({ min: 2, max: people }),
  steps: fc.array(
    fc.record({
      step,
      picks: fc.oneof(
        fc.array(fc.nat(5), { maxLength: 12, size: "max" }),
        fc.constant(Array.from<number>({ length: 99 }).fill(0)),
      ),
    }),
    { minLength: 15, maxLength: 45, size: "max" },
  ),
});
export type History = typeof history extends fc.Arbitrary<infer H> ? H : never;

/** The events of one aggregate, and how many of them each projection has taken. */
interface Partition {
  readonly name: string;
  readonly events: Recorded[];
  readModel: number;
  feeds: number;
}

/** A reader on their way through a feed. */
interface Pass {
  readonly seen: string[];
  cursor: string;
  /** Posts that every page of the pass had to show, were they not above it. */
  due: ReadonlySet<string>;
}

/** Something a process is in the middle of. */
interface Work {
  readonly process: Process;
  /** Whose page it is, of work that is one. */
  readonly reader: number | undefined;
}

interface Engines {
  readonly cache: FeedCache;
  readonly authorCache: FeedCache;
  readonly now: () => number;
  /** Claims, and the taking of fan-outs, lapse. */
  lapse(): Promise<void>;
}

/**
 * One history: a log with every aggregate a partition of its own, the read model in memory, and the
 * feeds projection, its worker, the query side's skeleton and filler as they are, in processes that
 * know nothing of each other.
 */
export class Run {
  readonly #engines: Engines;
  readonly #people = Array.from({ length: people }, () => v7());
  readonly #partitions = new Map<string, Partition>();
  readonly #interleaver = new Interleaver();
  readonly #passes = new Map<number, Pass | "reading">();
  readonly #work = new Set<Work>();
  #readModel: MemorySql;
  #followersAtATime = 1;
  #failure: unknown;

  constructor(engines: Engines) {
    this.#engines = engines;
    this.#readModel = new MemorySql(engines.now);
  }

  async take({ follows, warm, posted, followersAtATime, steps }: History): Promise<void> {
    this.#followersAtATime = followersAtATime;
    // That the last of them has registered is not known yet.
    this.#people.forEach((accountId, index) => {
      this.#append({ type: "AccountRegistered", data: { accountId, handle: handleOf(accountId) } });
      if (index < people - 1) this.#advanceReadModel(`accounts/${accountId}`);
    });
    for (const pair of follows) this.#append(followed(...this.#both(pair)));
    for (const { name } of this.#partitions.values()) {
      if (name.startsWith("follows")) this.#carry(name, 2);
    }
    for (const reader of warm) this.#readPage(reader, 1);
    for (const author of posted) {
      await this.#interleaver.letAllGo();
      await this.#take({ do: "post", author, through: 2 });
      await this.#finishFanOuts();
    }
    await this.#interleaver.letAllGo();
    for (const { step, picks } of steps) {
      await this.#take(step);
      await this.#interleaver.letGo(picks);
      this.#throwFailure();
    }
    await this.#settle();
    await Promise.all([
      this.#engines.cache.drop(this.#people),
      this.#engines.authorCache.drop(this.#people),
    ]);
  }

  async #take(step: Step): Promise<void> {
    const { cache, authorCache, lapse } = this.#engines;
    switch (step.do) {
      case "post": {
        const postId = v7();
        this.#append(postCreated(postId, this.#person(step.author)));
        return this.#carry(`posts/${postId}`, step.through);
      }
      case "delete": {
        const post = pick(this.#posts(), step.nth);
        if (!post) return;
        const { postId, authorId } = post;
        return this.#append({ type: "PostDeleted", data: { postId, authorId, cause: "author" } });
      }
      case "follow":
        return this.#follows(step, [followed(...this.#both(step.two))]);
      case "unfollow":
        return this.#follows(step, [unfollowed(...this.#both(step.two))]);
      case "block":
        return this.#follows(step, blocked(...this.#both(step.two)));
      case "unblock": {
        const [blockerId, blockedId] = this.#both(step.two);
        return this.#follows(step, [{ type: "AccountUnblocked", data: { blockerId, blockedId } }]);
      }
      case "close":
        // Closing is final and silences much, so only the last of them does.
        return this.#append({
          type: "AccountClosed",
          data: { accountId: this.#person(people - 1) },
        });
      case "readModel": {
        const behind = this.#named((one) => one.readModel < one.events.length);
        return this.#advanceReadModel(pick(behind, step.partition)?.name ?? "");
      }
      case "feeds": {
        const behind = this.#named((one) => one.feeds < one.readModel || step.again > 0);
        return this.#advanceFeeds(pick(behind, step.partition)?.name ?? "", step.again);
      }
      case "slice":
        return this.#slice();
      case "read":
        return this.#readPage(step.reader, step.limit);
      case "evict":
        return await cache.drop([this.#person(step.reader)]);
      case "evictList":
        return await authorCache.drop([this.#person(step.author)]);
      case "lapse":
        return await lapse();
      case "kill": {
        const work = pick([...this.#work], step.nth);
        return work && this.#kill(work);
      }
      case "rebuild":
        return this.#rebuild();
    }
  }

  /** Everything arrives; then every reader's feed is what the log says, from the cache and without. */
  async #settle(): Promise<void> {
    await this.#interleaver.letAllGo();
    await this.#engines.lapse();
    for (const name of this.#partitions.keys()) this.#advanceReadModel(name);
    for (const name of this.#partitions.keys()) {
      this.#advanceFeeds(name, 0);
      await this.#interleaver.letAllGo();
    }
    await this.#finishFanOuts();
    await this.#engines.lapse();
    this.#throwFailure();
    for (const [index, readerId] of this.#people.entries()) {
      const said = [...this.#visible(readerId, (one) => one.events.length)].sort().reverse();
      for (const from of ["without the cache, or with it", "from the cache"]) {
        this.#passes.delete(index);
        const shown: string[] = [];
        do {
          this.#readPage(index, 2, shown);
          await this.#interleaver.letAllGo();
          this.#throwFailure();
        } while (this.#passes.has(index));
        assert.deepEqual(shown, said, `what the log says, ${from}`);
      }
    }
  }

  #follows({ two: [a], through }: { two: readonly number[]; through: number }, said: Said[]): void {
    for (const one of said) this.#append(one);
    this.#carry(`follows/${this.#person(a ?? 0)}`, through);
  }

  #append(said: Said): void {
    const event = { ...said, id: v7(), time: "2026-01-01T00:00:00Z" } as DomainEvent;
    const { topic, key } = catalogue.definition(event.type);
    const name = `${topic}/${key(event.data)}`;
    const partition = this.#partitions.getOrInsertComputed(
      name,
      () => ({ name, events: [], readModel: 0, feeds: 0 }),
    );
    partition.events.push({ topic, partition: 0, offset: partition.events.length, event });
  }

  #carry(name: string, through: number): void {
    if (through > 0) this.#advanceReadModel(name);
    if (through > 1) this.#advanceFeeds(name, 0);
  }

  #advanceReadModel(name: string): void {
    const partition = this.#partitions.get(name);
    if (!partition) return;
    for (const { event } of partition.events.slice(partition.readModel)) {
      this.#readModel.take(event);
    }
    partition.readModel = partition.events.length;
  }

  /** A projector takes what the read model has taken, `again` of it once more, as after a kill. */
  #advanceFeeds(name: string, again: number): void {
    const partition = this.#partitions.get(name);
    if (!partition) return;
    const to = partition.readModel;
    const batch = partition.events.slice(Math.max(0, partition.feeds - again), to);
    this.#begin(async (process) => {
      const { projection } = this.#feeds(process);
      await projection.apply(batch, new AbortController().signal);
      partition.feeds = Math.max(partition.feeds, to);
    });
  }

  async #finishFanOuts(): Promise<void> {
    await this.#interleaver.letAllGo();
    const { worker } = this.#feeds(new Process(), (engine) => engine);
    while (await worker.slice());
  }

  #slice(): void {
    this.#begin(async (process) => {
      await this.#feeds(process).worker.slice();
    });
  }

  #feeds(process: Process, hold = this.#held(process)): Feeds {
    const { cache, authorCache } = this.#engines;
    return createFeeds({
      cache: hold(cache),
      authorCache: hold(authorCache),
      sql: hold(this.#readModel),
      pullThreshold,
      followersAtATime: this.#followersAtATime,
    });
  }

  #held(process: Process) {
    return <T extends object>(engine: T): T => this.#interleaver.holding(engine, process);
  }

  /** Begins something that goes on whenever its calls are let go. */
  #begin(work: (process: Process) => Promise<void>, reader?: number): void {
    const begun: Work = { process: new Process(), reader };
    this.#work.add(begun);
    work(begun.process)
      .catch((error) => this.#failure ??= error)
      .finally(() => this.#work.delete(begun));
  }

  #kill(work: Work): void {
    work.process.killed = true;
    this.#work.delete(work);
    // A reader whose request is lost begins anew.
    if (work.reader !== undefined) this.#passes.delete(work.reader);
  }

  /**
   * The database is lost, and with it what the feeds remember; the cache is not. All is made again
   * from the log, which the projections read anew.
   */
  #rebuild(): void {
    for (const work of this.#work) this.#kill(work);
    this.#passes.clear();
    this.#readModel = new MemorySql(this.#engines.now);
    for (const partition of this.#partitions.values()) partition.readModel = partition.feeds = 0;
  }

  #readPage(reader: number, limit: number, shown: string[] = []): void {
    const before = this.#passes.get(reader);
    // A reader asks for one page at a time.
    if (before === "reading") return;
    const readerId = this.#person(reader);
    const pass = before ?? { seen: shown, cursor: newest, due: this.#due(readerId) };
    this.#passes.set(reader, "reading");
    this.#begin(async (process) => {
      const dueBefore = this.#due(readerId);
      const mayBefore = this.#visible(readerId, (one) => one.readModel);
      const { ids, ended } = await this.#page(process, readerId, pass.cursor, limit);
      const may = mayBefore.union(this.#visible(readerId, (one) => one.readModel));
      pass.due = pass.due.intersection(dueBefore).intersection(this.#due(readerId));
      for (const id of ids) {
        assert.ok(may.has(id), "nothing is shown that no one would say belongs there");
        const above = pass.seen.at(-1);
        assert.ok(above === undefined || id < above, "each post once, newest first");
        pass.seen.push(id);
      }
      const reached = ended ? "" : ids.at(-1) ?? "";
      for (const id of pass.due) {
        assert.ok(id < reached || pass.seen.includes(id), "no post is passed over");
      }
      pass.cursor = reached;
      this.#passes.delete(reader);
      if (!ended) this.#passes.set(reader, pass);
    }, reader);
  }

  /** As `cardPage` does it: filtered, and filled up again. */
  async #page(process: Process, readerId: string, before: string, limit: number) {
    const hold = this.#held(process);
    const sql = hold(this.#readModel);
    const services = {
      sql,
      primary: sql,
      cache: hold(this.#engines.cache),
      authorCache: hold(this.#engines.authorCache),
      logger: silentLogger,
    };
    const filler = new FeedFiller(services);
    const skeleton = feedSkeleton(services, filler, readerId);
    const shown: string[] = [];
    try {
      for (let lookedAt = before;;) {
        const { ids, ended } = await skeleton(lookedAt, limit + 1);
        for (const id of ids) {
          lookedAt = id;
          if (!this.#readModel.shows(readerId, id)) continue;
          if (shown.length === limit) return { ids: shown, ended: false };
          shown.push(id);
        }
        if (ended) return { ids: shown, ended: true };
      }
    } finally {
      filler.begin();
    }
  }

  /** What a reader's feed is by so much of each partition. */
  #visible(readerId: string, taken: (partition: Partition) => number): Set<string> {
    const partitions = [...this.#partitions.values()];
    return visibleTo(
      readerId,
      partitions.flatMap((one) => one.events.slice(0, taken(one)).map(({ event }) => event)),
    );
  }

  /** What the reader must be shown: of that, what the feeds have taken, and brought to everyone. */
  #due(readerId: string): ReadonlySet<string> {
    const follows = this.#partitions.get(`follows/${readerId}`);
    if (follows && follows.feeds < follows.readModel) return new Set();
    const fannedOut = [...this.#visible(readerId, (one) => one.readModel)].filter((postId) =>
      (this.#partitions.get(`posts/${postId}`)?.feeds ?? 0) > 0 &&
      this.#readModel.isFannedOut(postId)
    );
    return new Set(fannedOut);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #posts(): { postId: string; authorId: string }[] {
    return [...this.#partitions.values()].flatMap(({ events: [first] }) =>
      first?.event.type === "PostCreated" ? [first.event.data] : []
    );
  }

  #named(which: (partition: Partition) => boolean): Partition[] {
    return [...this.#partitions.values()].filter(which);
  }

  #person(n: number): string {
    return this.#people[n] ?? "";
  }

  #both([a, b]: readonly [number, number]): [string, string] {
    return [this.#person(a), this.#person(b)];
  }
}

function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % from.length];
}
