import assert from "node:assert/strict";
import fc from "fast-check";
import { type Claim, type FeedCache, type FeedPage, feedWindow } from "./port.ts";

/** A cache to test, and how claims are made to lapse in it. */
export interface FeedCacheUnderTest {
  readonly cache: FeedCache;
  /** Resolves once every claim made until now has lapsed. */
  lapseClaims(): Promise<void>;
  close(): Promise<void>;
}

/** What every feed cache must do. `runs`: how many histories the property test draws. */
export function feedCacheContract(
  name: string,
  open: () => Promise<FeedCacheUnderTest>,
  { runs }: { runs: number },
): void {
  const test = (claim: string, body: (subject: FeedCacheUnderTest) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      const subject = await open();
      try {
        await body(subject);
      } finally {
        await subject.close();
      }
    });

  test("a push creates no feed", async ({ cache }) => {
    const reader = newReader();
    await cache.push([reader], post(1));
    assert.deepEqual(await cache.read(reader, { limit: 10 }), { state: "missing" });
  });

  test("a push lands in its place by id, once, in the feeds that exist", async ({ cache }) => {
    const [first, second, missing] = [newReader(), newReader(), newReader()];
    await complete(cache, first, [post(4), post(2)]);
    await complete(cache, second, []);
    for (const n of [3, 5, 1, 3, 4]) await cache.push([first, missing, second], post(n));
    assert.deepEqual(await cache.read(first, { limit: 10 }), all(posts(5, 1)));
    assert.deepEqual(await cache.read(second, { limit: 10 }), all([5, 4, 3, 1].map(post)));
    assert.deepEqual(await cache.read(missing, { limit: 10 }), { state: "missing" });
  });

  test("pages go strictly below `before`, whether the feed holds it or not", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, [9, 7, 5, 3].map(post));
    const below = async (before: number, limit: number) =>
      await cache.read(reader, { before: post(before), limit });
    assert.deepEqual(await below(7, 10), all([post(5), post(3)]));
    assert.deepEqual(await below(6, 1), all([post(5)]));
    assert.deepEqual(await below(3, 10), all([]));
  });

  test("beyond the window the oldest go, and a floor stays", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, posts(feedWindow, 1));
    assert.deepEqual(
      await cache.read(reader, { limit: feedWindow + 1 }),
      all(posts(feedWindow, 1)),
      "a full feed has not been cut yet",
    );
    await cache.push([reader], post(feedWindow + 1));
    const cut = cutAt(posts(feedWindow + 1, 2));
    assert.deepEqual(await cache.read(reader, { limit: feedWindow + 1 }), cut);
    await cache.push([reader], post(1));
    assert.deepEqual(await cache.read(reader, { limit: feedWindow + 1 }), cut, "below the floor");
    assert.deepEqual(
      await cache.read(reader, { limit: feedWindow }),
      all(posts(feedWindow + 1, 2)),
      "a page that is full says nothing of the floor",
    );
  });

  test("an id older than all of a full feed is the one to go", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, posts(feedWindow + 1, 2));
    await cache.push([reader], post(1));
    const page = await cache.read(reader, { limit: feedWindow + 1 });
    assert.deepEqual(page, cutAt(posts(feedWindow + 1, 2)));
  });

  test("pull names an author in the feeds that exist, once, and creates none", async ({ cache }) => {
    const [one, other, missing] = [newReader(), newReader(), newReader()];
    await complete(cache, one, [post(3)]);
    await complete(cache, other, []);
    for (let times = 0; times < 2; times++) {
      await cache.pull([one, missing], author(1));
      await cache.pull([one, other], author(2));
    }
    assert.deepEqual(pullsOf(await cache.read(one, { limit: 9 })), [author(1), author(2)]);
    assert.deepEqual(await cache.read(other, { limit: 9 }), all([], [author(2)]));
    assert.deepEqual(await cache.read(missing, { limit: 9 }), { state: "missing" });
  });

  test("a pulled author stays one through pushes, merges and the window's end", async ({ cache }) => {
    const reader = newReader();
    const claim = await claimed(cache, reader);
    await cache.pull([reader], author(1));
    await cache.fill(claim, posts(feedWindow, 1), true);
    await cache.push([reader], post(feedWindow + 1));
    await cache.merge(reader, [post(700)], false);
    const page = await cache.read(reader, { before: post(600), limit: 2 });
    assert.deepEqual(page, { ...cutAt([]), pulls: [author(1)] });
    await cache.drop([reader]);
    await complete(cache, reader, []);
    assert.deepEqual(
      await cache.read(reader, { limit: 2 }),
      all([]),
      "for as long as a feed lives",
    );
  });

  test("merge adds in place to a feed that exists, and creates none", async ({ cache }) => {
    const [reader, missing] = [newReader(), newReader()];
    await complete(cache, reader, [post(6), post(2)]);
    for (let times = 0; times < 2; times++) {
      await cache.merge(reader, [7, 6, 1].map(post), true);
      await cache.merge(missing, [post(1)], true);
    }
    assert.deepEqual(await cache.read(reader, { limit: 9 }), all([7, 6, 2, 1].map(post)));
    assert.deepEqual(await cache.read(missing, { limit: 9 }), { state: "missing" });
  });

  test("merging posts that do not reach the first raises the floor to them", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, [post(9), post(4)]);
    await cache.merge(reader, [post(8), post(6)], false);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), cutAt([9, 8, 6].map(post)));
    await cache.merge(reader, [post(7), post(3)], false);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), cutAt([9, 8, 7, 6].map(post)));
  });

  test("a claimed feed takes pushes and merges but is not read", async ({ cache }) => {
    const reader = newReader();
    const claim = await claimed(cache, reader);
    await cache.push([reader], post(5));
    await cache.merge(reader, [post(4), post(3)], true);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), { state: "filling" });
    assert.equal(await cache.fill(claim, [post(3), post(1)], true), true);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), all([5, 4, 3, 1].map(post)));
  });

  test("what was merged during a claim keeps its floor after it", async ({ cache }) => {
    const reader = newReader();
    const claim = await claimed(cache, reader);
    await cache.merge(reader, [post(8), post(6)], false);
    await cache.fill(claim, [post(7), post(5)], true);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), cutAt([8, 7, 6].map(post)));
  });

  test("a window of pushes during a claim is cut like any other", async ({ cache }) => {
    const reader = newReader();
    const claim = await claimed(cache, reader);
    for (const id of posts(feedWindow + 3, 3)) await cache.push([reader], id);
    await cache.fill(claim, posts(3, 1), true);
    const page = await cache.read(reader, { limit: feedWindow + 1 });
    assert.deepEqual(page, cutAt(posts(feedWindow + 3, 4)));
  });

  test("filling with a window that does not reach the first leaves a floor", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, posts(feedWindow + 9, 10), false);
    const page = await cache.read(reader, { before: post(12), limit: 5 });
    assert.deepEqual(page, cutAt([post(11), post(10)]));
  });

  test("of many claimants one wins", async ({ cache }) => {
    const reader = newReader();
    const claims = await Promise.all(Array.from({ length: 20 }, () => cache.claim(reader)));
    const won = claims.filter((claim) => claim !== undefined);
    assert.equal(won.length, 1);
    assert.equal(await cache.fill(won[0] as Claim, [], true), true);
    assert.equal(await cache.claim(reader), undefined, "a complete feed is not to be claimed");
  });

  test("a claim that is not filled lapses, and the feed is missing again", async (subject) => {
    const { cache } = subject;
    const reader = newReader();
    const lapsed = await claimed(cache, reader);
    await cache.push([reader], post(9));
    await subject.lapseClaims();
    assert.deepEqual(await cache.read(reader, { limit: 9 }), { state: "missing" });
    assert.equal(await cache.fill(lapsed, [post(1)], true), false);
    await cache.push([reader], post(8));
    assert.deepEqual(await cache.read(reader, { limit: 9 }), { state: "missing" });

    const renewed = await claimed(cache, reader);
    assert.equal(await cache.fill(lapsed, [post(1)], true), false, "its place has been taken");
    assert.deepEqual(await cache.read(reader, { limit: 9 }), { state: "filling" });
    assert.equal(await cache.fill(renewed, [post(2)], true), true);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), all([post(2)]));
  });

  test("a feed once filled does not lapse", async (subject) => {
    const reader = newReader();
    await complete(subject.cache, reader, [post(1)]);
    await subject.lapseClaims();
    assert.deepEqual(await subject.cache.read(reader, { limit: 9 }), all([post(1)]));
  });

  test("a claim is filled once", async ({ cache }) => {
    const reader = newReader();
    const claim = await claimed(cache, reader);
    assert.equal(await cache.fill(claim, [post(2)], true), true);
    assert.equal(await cache.fill(claim, [post(1)], true), false);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), all([post(2)]));
  });

  test("a feed dropped while it is filled stays missing", async ({ cache }) => {
    const reader = newReader();
    const claim = await claimed(cache, reader);
    await cache.drop([reader, newReader()]);
    await cache.push([reader], post(2));
    assert.equal(await cache.fill(claim, [post(1)], true), false);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), { state: "missing" });
  });

  test("dropped feeds take nothing with them into their next life", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, posts(20, 10), false);
    await cache.drop([reader]);
    await complete(cache, reader, [post(3)]);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), all([post(3)]));
  });

  test("pushing to thousands of feeds at once reaches each", async ({ cache }) => {
    const readers = Array.from({ length: 3000 }, newReader);
    const here = readers.filter((_, index) => index % 100 === 0);
    for (const reader of here) await complete(cache, reader, [post(1)]);
    await cache.push(readers, post(2));
    for (const reader of here) {
      assert.deepEqual(await cache.read(reader, { limit: 9 }), all([post(2), post(1)]));
    }
    await cache.drop(readers);
  });

  test("concurrent pushes all land, once each", async ({ cache }) => {
    const reader = newReader();
    await complete(cache, reader, []);
    const twice = [...posts(200, 1), ...posts(200, 1)];
    await Promise.all(twice.map((id) => cache.push([reader], id)));
    assert.deepEqual(await cache.read(reader, { limit: 300 }), all(posts(200, 1)));
  });

  Deno.test(`${name}: does what sets of ids would do, over drawn histories`, async () => {
    const subject = await open();
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
          // Each history has readers of its own, so that one cache serves them all.
          const readers = [newReader(), newReader()];
          const naive = new NaiveFeeds();
          const claims: Claim[] = [];
          for (const { reader, action } of steps) {
            const readerId = readers[reader] ?? "";
            await take(action, readerId, subject, naive, claims);
            const page = await subject.cache.read(readerId, { limit: 2 * feedWindow });
            const expected = naive.read(readerId);
            assert.deepEqual(pullsOf(page), pullsOf(expected));
            assert.deepEqual({ ...page, pulls: [] }, { ...expected, pulls: [] });
          }
          await subject.cache.drop(readers);
        }),
        { numRuns: runs },
      );
    } finally {
      await subject.close();
    }
  });
}

/** A run of posts, newest first. Long ones reach over the window. */
const run = fc.oneof(
  fc.tuple(fc.nat(12), fc.nat(4)),
  fc.tuple(fc.nat(700), fc.nat(30)),
  fc.tuple(fc.nat(20), fc.integer({ min: feedWindow - 3, max: feedWindow + 3 })),
).map(([oldest, more]) => posts(oldest + more, oldest));

const ids = { ids: run, reachesFirst: fc.boolean() };
const step = fc.record({
  reader: fc.nat(1),
  action: fc.oneof(
    fc.record({ name: fc.constant("push" as const), post: fc.nat(700) }),
    fc.record({ name: fc.constant("merge" as const), ...ids }),
    fc.record({ name: fc.constant("pull" as const), author: fc.nat(2) }),
    fc.record({ name: fc.constant("claim" as const) }),
    fc.record({ name: fc.constant("fill" as const), ...ids }),
    fc.record({ name: fc.constant("drop" as const) }),
    fc.record({ name: fc.constant("lapse" as const) }),
  ),
});

type Action = typeof step extends fc.Arbitrary<{ reader: number; action: infer A }> ? A : never;

/** `claims` are those of the history that nobody has tried to fill yet. */
async function take(
  action: Action,
  readerId: string,
  { cache, lapseClaims }: FeedCacheUnderTest,
  naive: NaiveFeeds,
  claims: Claim[],
): Promise<void> {
  switch (action.name) {
    case "push":
      await cache.push([readerId], post(action.post));
      return naive.add(readerId, [post(action.post)], true);
    case "merge":
      await cache.merge(readerId, action.ids, action.reachesFirst);
      return naive.add(readerId, action.ids, action.reachesFirst);
    case "pull":
      await cache.pull([readerId], author(action.author));
      return naive.pull(readerId, author(action.author));
    case "drop":
      await cache.drop([readerId]);
      return naive.drop(readerId);
    case "lapse":
      await lapseClaims();
      return naive.lapse();
    case "claim": {
      const claim = await cache.claim(readerId);
      assert.equal(claim !== undefined, naive.claim(readerId, claim?.token));
      if (claim) claims.push(claim);
      return;
    }
    case "fill":
      // The oldest claim, which may have lapsed or lost its feed.
      for (const claim of claims.splice(0, 1)) {
        const filled = await cache.fill(claim, action.ids, action.reachesFirst);
        assert.equal(filled, naive.fill(claim, action.ids, action.reachesFirst));
      }
  }
}

/** The port's law, in the plainest words there are. */
class NaiveFeeds {
  readonly #feeds = new Map<
    string,
    { ids: Set<string>; pulls: Set<string>; floor: string; token?: string }
  >();

  add(readerId: string, ids: readonly string[], reachesFirst: boolean): void {
    const feed = this.#feeds.get(readerId);
    if (!feed) return;
    const oldest = [...ids].sort()[0] ?? "";
    if (!reachesFirst && oldest > feed.floor) feed.floor = oldest;
    const union = [...new Set([...feed.ids, ...ids])].filter((id) => id >= feed.floor).sort();
    const kept = union.slice(-feedWindow);
    if (kept.length < union.length) feed.floor = kept[0] ?? "";
    feed.ids = new Set(kept);
  }

  pull(readerId: string, authorId: string): void {
    this.#feeds.get(readerId)?.pulls.add(authorId);
  }

  drop(readerId: string): void {
    this.#feeds.delete(readerId);
  }

  lapse(): void {
    for (const [readerId, { token }] of this.#feeds) {
      if (token !== undefined) this.#feeds.delete(readerId);
    }
  }

  claim(readerId: string, token: string | undefined): boolean {
    if (this.#feeds.has(readerId)) return false;
    this.#feeds.set(readerId, {
      ids: new Set(),
      pulls: new Set(),
      floor: "",
      token: token ?? "",
    });
    return true;
  }

  fill({ readerId, token }: Claim, ids: readonly string[], reachesFirst: boolean): boolean {
    const feed = this.#feeds.get(readerId);
    if (feed?.token !== token) return false;
    delete feed.token;
    this.add(readerId, ids, reachesFirst);
    return true;
  }

  read(readerId: string): FeedPage {
    const feed = this.#feeds.get(readerId);
    if (!feed) return { state: "missing" };
    if (feed.token !== undefined) return { state: "filling" };
    const ids = [...feed.ids].sort().reverse();
    return { state: "complete", ids, endsAtFloor: feed.floor > "", pulls: [...feed.pulls] };
  }
}

/** The n-th post there is. */
function post(n: number): string {
  return `0193aef0-1c00-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** Posts from the newest to the oldest, both included. */
function posts(newest: number, oldest: number): string[] {
  return Array.from({ length: newest - oldest + 1 }, (_, index) => post(newest - index));
}

function newReader(): string {
  return `0193aef0-1c01-7000-8000-${crypto.randomUUID().slice(24)}`;
}

function author(n: number): string {
  return `0193aef0-1c02-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

function pullsOf(page: FeedPage): string[] {
  return page.state === "complete" ? [...page.pulls].sort() : [];
}

function all(ids: readonly string[], pulls: readonly string[] = []): FeedPage {
  return { state: "complete", ids, endsAtFloor: false, pulls };
}

function cutAt(ids: readonly string[]): FeedPage {
  return { state: "complete", ids, endsAtFloor: true, pulls: [] };
}

async function claimed(cache: FeedCache, readerId: string): Promise<Claim> {
  const claim = await cache.claim(readerId);
  assert.ok(claim, "the feed is to be claimed");
  return claim;
}

async function complete(
  cache: FeedCache,
  readerId: string,
  ids: readonly string[],
  reachesFirst = true,
): Promise<void> {
  assert.equal(await cache.fill(await claimed(cache, readerId), ids, reachesFirst), true);
}
