import assert from "node:assert/strict";
import fc from "fast-check";
import { createMemoryFeedCache } from "../../infra/feed-cache/memory.ts";
import { type Claim, claimSeconds, feedWindow } from "../../infra/feed-cache/port.ts";
import { feedPage } from "../../projections/read-model/reads/feed-page.ts";
import { newest } from "../../projections/read-model/reads/keyset.ts";
import {
  blocked,
  followed,
  handleOf,
  newId,
  openDatabase,
  type Partition,
  postCreated,
  type Said,
  unfollowed,
  World,
} from "./testing/world.ts";

/**
 * The law of feeds: for every interleaving of posts, deletes, follows, unfollows, blocks, misses,
 * evictions, lapses and redeliveries, what a reader pages through equals what the log says, each
 * post once. Held at every page against what the projections have taken so far, and at the end, when
 * they have taken all, against the whole log.
 */

const sql = await openDatabase();

const person = fc.nat(2);
const two = fc.tuple(person, person).filter(([a, b]) => a !== b);
/** How many projections take an event at once: none, the read model, the feeds too. */
const through = fc.nat(2);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("post" as const), author: person, through }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), nth: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("follow" as const), two, through }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("unfollow" as const), two, through }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("block" as const, "unblock" as const), two }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), author: person }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("readModel" as const), partition: fc.nat(99) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("feeds" as const),
      partition: fc.nat(99),
      again: fc.nat(2),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      reader: person,
      limit: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("miss" as const), reader: person }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("load" as const, "fill" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drop" as const), reader: person }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lapse" as const) }) },
);
/** Some steps run at the same time, as they do in processes that know nothing of each other. */
const history = fc.array(fc.oneof(step.map((one) => [one]), fc.array(step, { maxLength: 3 })), {
  minLength: 20,
  maxLength: 45,
  size: "max",
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

Deno.test("law of feeds: what is paged through equals what the log says, each post once", async () => {
  await fc.assert(
    fc.asyncProperty(
      history,
      fc.array(two, { maxLength: 5 }),
      fc.integer({ min: 2, max: 3 }),
      runHistory,
    ),
    { numRuns: 200 },
  );
});

async function runHistory(
  steps: readonly (readonly Step[])[],
  follows: readonly (readonly [number, number])[],
  cached: number,
): Promise<void> {
  const run = new Run(cached);
  await run.begin(follows);
  for (const together of steps) await Promise.all(together.map((one) => run.take(one)));
  await run.settle();
}

/** A reader on their way through a feed. */
interface Pass {
  readonly seen: string[];
  cursor: string | null;
  /** Posts that every page of the pass had to show, were they not above it. */
  due: ReadonlySet<string>;
}

class Run {
  readonly #people = Array.from({ length: 3 }, newId);
  readonly #world: World;
  readonly #passes = new Map<number, Pass>();
  /** Claims of another process, and what it has read for them. */
  readonly #claims: { claim: Claim; ids?: string[] }[] = [];
  #time = 0;

  constructor(maximumFeeds: number) {
    this.#world = new World(sql, {
      cache: createMemoryFeedCache({ now: () => this.#time, maximumFeeds }),
    });
  }

  /** Some follow others already; that the last of them has registered is not known yet. */
  async begin(follows: readonly (readonly [number, number])[]): Promise<void> {
    const register = (accountId: string) => {
      const data = { accountId, handle: handleOf(accountId) };
      this.#world.append({ type: "AccountRegistered", data });
    };
    this.#people.slice(0, -1).forEach(register);
    await this.#world.tell(...follows.map((pair) => followed(...this.#both(pair))));
    this.#people.slice(-1).forEach(register);
  }

  async take(step: Step): Promise<void> {
    const world = this.#world;
    switch (step.do) {
      case "post": {
        const postId = newId();
        world.append(postCreated(postId, this.#person(step.author)));
        return await this.#carry(`posts/${postId}`, step.through);
      }
      case "delete": {
        const posts = this.#posts();
        const post = pick(posts, step.nth);
        if (!post) return;
        const { postId, authorId } = post;
        return world.append({ type: "PostDeleted", data: { postId, authorId, cause: "author" } });
      }
      case "follow":
        world.append(followed(...this.#both(step.two)));
        return await this.#carry(`follows/${this.#both(step.two)[0]}`, step.through);
      case "unfollow":
        world.append(unfollowed(...this.#both(step.two)));
        return await this.#carry(`follows/${this.#both(step.two)[0]}`, step.through);
      case "block":
        return blocked(...this.#both(step.two)).forEach((said) => world.append(said));
      case "unblock": {
        const [blockerId, blockedId] = this.#both(step.two);
        return world.append({ type: "AccountUnblocked", data: { blockerId, blockedId } });
      }
      case "close":
        // Closing is final and silences much, so only the last of them does.
        if (step.author < 2) return;
        return world.append({
          type: "AccountClosed",
          data: { accountId: this.#person(step.author) },
        });
      case "readModel": {
        const behind = this.#partitions((one) => one.readModel < one.events.length);
        return await world.advanceReadModel(pick(behind, step.partition) ?? "");
      }
      case "feeds": {
        const behind = this.#partitions((one) => one.feeds < one.readModel || step.again > 0);
        return await world.advanceFeeds(pick(behind, step.partition) ?? "", step.again);
      }
      case "read":
        return await this.#readPage(step.reader, step.limit);
      case "miss": {
        const readerId = this.#person(step.reader);
        await world.cache.drop([readerId]);
        const claim = await world.cache.claim(readerId);
        if (claim) this.#claims.push({ claim });
        return;
      }
      case "load": {
        const one = this.#claims.find(({ ids }) => ids === undefined);
        if (one) one.ids = await feedPage(sql, one.claim.readerId, newest, feedWindow + 1);
        return;
      }
      case "fill": {
        const at = this.#claims.findIndex(({ ids }) => ids !== undefined);
        for (const { claim, ids = [] } of at < 0 ? [] : this.#claims.splice(at, 1)) {
          await world.cache.fill(claim, ids, true);
        }
        return;
      }
      case "drop":
        return await world.cache.drop([this.#person(step.reader)]);
      case "lapse":
        this.#time += claimSeconds * 1000;
    }
  }

  /** Everything arrives; then every reader's feed is what the log says, from the cache and without. */
  async settle(): Promise<void> {
    await this.#world.catchUp();
    this.#time += claimSeconds * 1000;
    for (const reader of this.#people) {
      const said = [...this.#visible(reader)].sort().reverse();
      assert.deepEqual(await this.#world.feed(reader, 2), said, "what the log says");
      assert.deepEqual(await this.#world.feed(reader, 2), said, "and from the cache the same");
    }
  }

  async #carry(partition: string, through: number): Promise<void> {
    if (through > 0) await this.#world.advanceReadModel(partition);
    if (through > 1) await this.#world.advanceFeeds(partition);
  }

  async #readPage(reader: number, limit: number): Promise<void> {
    const readerId = this.#person(reader);
    const pass = this.#passes.get(reader) ?? { seen: [], cursor: null, due: this.#due(readerId) };
    // A reader asks for one page at a time.
    this.#passes.delete(reader);
    const [dueBefore, mayBefore] = [this.#due(readerId), this.#visible(readerId)];
    const page = await this.#world.feedPage(readerId, limit, pass.cursor);
    const may = mayBefore.union(this.#visible(readerId));
    pass.due = pass.due.intersection(dueBefore).intersection(this.#due(readerId));
    for (const { id } of page.items) {
      assert.ok(may.has(id), "nothing is shown that no one would say belongs there");
      const above = pass.seen.at(-1);
      assert.ok(above === undefined || id < above, "each post once, newest first");
      pass.seen.push(id);
    }
    pass.cursor = page.nextCursor;
    const reached = page.nextCursor === null ? "" : pass.seen.at(-1) ?? "";
    for (const id of pass.due) {
      assert.ok(id < reached || pass.seen.includes(id), "no post is passed over");
    }
    if (pass.cursor !== null) this.#passes.set(reader, pass);
  }

  /** What the reader may be shown, by what the read model has taken. */
  #visible(readerId: string): Set<string> {
    const following = new Set<string>();
    const blocks = new Set<string>();
    const known = new Set<string>();
    const closed = new Set<string>();
    const authors = new Map<string, string>();
    const deleted = new Set<string>();
    for (const said of this.#taken()) {
      switch (said.type) {
        case "AccountRegistered":
          known.add(said.data.accountId);
          break;
        case "AccountClosed":
          closed.add(said.data.accountId);
          break;
        case "AccountFollowed":
          if (said.data.followerId === readerId) following.add(said.data.followeeId);
          break;
        case "AccountUnfollowed":
          if (said.data.followerId === readerId) following.delete(said.data.followeeId);
          break;
        case "AccountBlocked":
          blocks.add(`${said.data.blockerId} ${said.data.blockedId}`);
          break;
        case "AccountUnblocked":
          blocks.delete(`${said.data.blockerId} ${said.data.blockedId}`);
          break;
        case "PostCreated":
          authors.set(said.data.postId, said.data.authorId);
          break;
        case "PostDeleted":
          deleted.add(said.data.postId);
      }
    }
    const mayBeSeen = (author: string) =>
      following.has(author) && known.has(author) && !closed.has(author) &&
      !blocks.has(`${author} ${readerId}`) && !blocks.has(`${readerId} ${author}`);
    return new Set(
      [...authors].filter(([post, author]) => !deleted.has(post) && mayBeSeen(author))
        .map(([post]) => post),
    );
  }

  /** What the reader must be shown: of that, what the feeds have taken too. */
  #due(readerId: string): ReadonlySet<string> {
    const follows = this.#world.partitions.get(`follows/${readerId}`);
    if (follows && follows.feeds < follows.readModel) return new Set();
    const fannedOut = [...this.#visible(readerId)].filter((postId) =>
      (this.#world.partitions.get(`posts/${postId}`)?.feeds ?? 0) > 0
    );
    return new Set(fannedOut);
  }

  /** What the read model has taken, each partition in its order. */
  *#taken(): Iterable<Said> {
    for (const { events, readModel } of this.#world.partitions.values()) {
      for (const { event } of events.slice(0, readModel)) yield event;
    }
  }

  #posts(): { postId: string; authorId: string }[] {
    return [...this.#world.partitions.values()].flatMap(({ events }) => {
      const [first] = events;
      return first?.event.type === "PostCreated" ? [first.event.data] : [];
    });
  }

  #partitions(which: (partition: Partition) => boolean): string[] {
    return [...this.#world.partitions].filter(([, partition]) => which(partition))
      .map(([name]) => name);
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
