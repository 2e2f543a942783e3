import assert from "node:assert/strict";
import { createMemoryFeedCache } from "../../infra/feed-cache/memory.ts";
import { type FeedCache } from "../../infra/feed-cache/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { mergeLists } from "./cards/merge-lists.ts";
import { FeedFiller } from "./feed-filler.ts";
import { followed, newId, openDatabase, postCreated, unfollowed, World } from "./testing/world.ts";

const sql = await openDatabase();

/** An author above the threshold of two, with readers whose feeds are cached. */
async function pulledAuthor(options: ConstructorParameters<typeof World>[1] = {}) {
  const world = new World(sql, { pullThreshold: 2, ...options });
  const [author, reader, other] = [newId(), newId(), newId()];
  await world.register(author, reader, other);
  await world.tell(followed(reader, author), followed(other, author));
  for (const one of [reader, other]) await world.feed(one);
  const posts = await world.post(author);
  return { world, author, reader, other, posts };
}

async function cachedIds(cache: FeedCache, id: string): Promise<readonly string[]> {
  const page = await cache.read(id, { limit: 99 });
  return page.state === "complete" ? page.ids : [];
}

Deno.test("pull: the post that crosses the threshold is pushed, the next are left to readers", async () => {
  const { world, author, reader, posts } = await pulledAuthor();
  const later = await world.post(author, 2);
  assert.deepEqual(await cachedIds(world.cache, reader), posts);
  assert.deepEqual(await world.feed(reader), [...posts, ...later].reverse());
  await world.feed(reader);
  assert.deepEqual(
    await cachedIds(world.authorCache, author),
    [...posts, ...later].reverse(),
    "and found in one list for all",
  );
});

Deno.test("pull: until an announcement is through, posts are pushed as before", async () => {
  const { world, author, reader, other } = await pulledAuthor({ followersAtATime: 1 });
  await world.tell(unfollowed(other, author));
  await world.post(author);
  await world.tell(followed(other, author));
  for (const one of [reader, other]) await world.feed(one);
  const [crossing = "", next = ""] = [newId(), newId()];
  for (const postId of [crossing, next]) {
    world.append(postCreated(postId, author));
    await world.advanceReadModel(`posts/${postId}`);
    await world.advanceFeeds(`posts/${postId}`);
    if (postId === crossing) await world.slice();
  }
  const reached = await Promise.all(
    [reader, other].map(async (one) => (await cachedIds(world.cache, one)).includes(next)),
  );
  assert.ok(reached.includes(true), "the first slice of it is pushed in its batch");
  await world.finishFanOuts();
  for (const one of [reader, other]) {
    const ids = await cachedIds(world.cache, one);
    assert.deepEqual(ids.filter((id) => id === crossing || id === next), [next, crossing]);
  }
});

Deno.test("pull: an author near the threshold does not go to and fro", async () => {
  const world = new World(sql, { pullThreshold: 5 });
  const [author, ...readers] = Array.from({ length: 6 }, newId);
  await world.register(author ?? "", ...readers);
  await world.tell(...readers.map((reader) => followed(reader, author ?? "")));
  await world.post(author ?? "");
  const isPulled = async () =>
    (await sql.query("SELECT FROM feeds.pulled_authors WHERE author_id = $1", [author])).length > 0;
  assert.ok(await isPulled());
  await world.tell(unfollowed(readers[0] ?? "", author ?? ""));
  await world.post(author ?? "");
  assert.ok(await isPulled(), "four of five are enough to stay");
  await world.tell(unfollowed(readers[1] ?? "", author ?? ""));
  await world.post(author ?? "");
  assert.ok(!await isPulled(), "three are not");
});

Deno.test("pull: falling below the threshold leaves no gap and no double", async () => {
  const { world, author, reader, other, posts } = await pulledAuthor();
  const left = await world.post(author, 2);
  await world.tell(unfollowed(other, author));
  const pushed = await world.post(author, 2);
  const all = [...posts, ...left, ...pushed].reverse();
  assert.deepEqual(await cachedIds(world.cache, reader), [...pushed.toReversed(), ...posts]);
  for (const limit of [1, 2, 20]) assert.deepEqual(await world.feed(reader, limit), all);
});

Deno.test("pull: following and unfollowing a pulled author", async () => {
  const { world, author, posts } = await pulledAuthor();
  const late = newId();
  await world.register(late);
  await world.feed(late);
  await world.tell(followed(late, author));
  const after = await world.post(author);
  assert.deepEqual(await world.feed(late), [...posts, ...after].reverse());
  await world.tell(unfollowed(late, author));
  assert.deepEqual(await world.feed(late), []);
  const page = await world.cache.read(late, { limit: 1 });
  assert.ok(page.state === "complete" && page.pulls.length === 0, "and it costs nothing any more");
});

Deno.test("pull: what is remembered of pulled authors may be lost, cached feeds may not lack", async () => {
  const { world, author, reader, posts } = await pulledAuthor();
  const left = await world.post(author, 2);
  await sql.query("DELETE FROM feeds.pulled_authors WHERE author_id = $1", [author]);
  assert.deepEqual(await world.feed(reader), [...posts, ...left].reverse());
});

Deno.test("pull: an author who is taken off the record while a feed is filled leaves no gap", async () => {
  const { world, author, reader, other, posts } = await pulledAuthor();
  await world.cache.drop([reader]);
  let left: string[] = [];
  // After the filler's first question: a post is left to readers, then the author is pushed again.
  let asked = 0;
  const between: SqlQueries = {
    ...sql,
    query: async <Row>(text: string, parameters?: readonly unknown[]) => {
      const rows = await sql.query<Row>(text, parameters);
      if (asked++ === 0) {
        left = await world.post(author);
        await world.tell(unfollowed(other, author));
        left.push(...await world.post(author));
      }
      return rows;
    },
  };
  const { cache, authorCache } = world;
  const filler = new FeedFiller({ primary: between, cache, authorCache, logger: silentLogger });
  const claim = await cache.claim(reader);
  assert.ok(claim);
  filler.fillFeed(claim);
  await filler.drain();
  assert.equal(left.length, 2);
  assert.deepEqual(await world.feed(reader), [...posts, ...left].reverse());
});

Deno.test("pull: a feed is complete only once it names the authors it lacks", async () => {
  const cache = createMemoryFeedCache();
  let incomplete = 0;
  const watched: FeedCache = {
    ...cache,
    pull: async (readerIds, authorId) => {
      for (const id of readerIds) {
        if ((await cache.read(id, { limit: 1 })).state === "complete") incomplete++;
      }
      await cache.pull(readerIds, authorId);
    },
  };
  const { world, reader } = await pulledAuthor({ cache: watched });
  incomplete = 0;
  await cache.drop([reader]);
  await world.feed(reader);
  const page = await cache.read(reader, { limit: 1 });
  assert.ok(page.state === "complete" && page.pulls.length === 1);
  assert.equal(incomplete, 0);
});

Deno.test("pull: an author who is taken off the record while a follow is settled leaves no gap", async () => {
  let meanwhile: (() => Promise<void>) | undefined;
  const watched: SqlQueries = {
    ...sql,
    query: async <Row>(text: string, parameters?: readonly unknown[]) => {
      const rows = await sql.query<Row>(text, parameters);
      const act = meanwhile;
      if (act && text.includes("FROM read_model.posts")) {
        meanwhile = undefined;
        await act();
      }
      return rows;
    },
  };
  const { world, author, reader, other, posts } = await pulledAuthor({ sql: watched });
  const late = newId();
  await world.register(late);
  await world.feed(late);
  const left: string[] = [];
  /** And nothing else: the follow is still to be settled. */
  const postNow = async () => {
    const postId = newId();
    left.push(postId);
    world.append(postCreated(postId, author));
    await world.advanceReadModel(`posts/${postId}`);
    await world.advanceFeeds(`posts/${postId}`);
  };
  world.append(followed(late, author));
  await world.advanceReadModel(`follows/${late}`);
  // Once the settling of the follow has read the author's posts.
  meanwhile = async () => {
    await postNow();
    world.append(unfollowed(other, author));
    world.append(unfollowed(reader, author));
    await world.advanceReadModel(`follows/${other}`, `follows/${reader}`);
    await postNow();
  };
  await world.advanceFeeds(`follows/${late}`);
  assert.equal(left.length, 2);
  assert.deepEqual(await world.feed(late), [...posts, ...left].reverse());
});

Deno.test("fan-out: goes on in slices, taking turns, and what fails is done again", async () => {
  const memory = createMemoryFeedCache();
  let broken = false;
  const pushes: [number, string][] = [];
  const cache: FeedCache = {
    ...memory,
    push: async (readerIds, postId) => {
      if (broken) throw new Error("connection refused");
      pushes.push([readerIds.length, postId]);
      await memory.push(readerIds, postId);
    },
  };
  const world = new World(sql, { cache, followersAtATime: 2 });
  const [author, ...readers] = Array.from({ length: 8 }, newId);
  await world.register(author ?? "", ...readers);
  await world.tell(...readers.map((reader) => followed(reader, author ?? "")));
  for (const reader of readers) await world.feed(reader);
  const [one, two] = [newId(), newId()];
  for (const postId of [one, two]) {
    world.append(postCreated(postId, author ?? ""));
    await world.advanceReadModel(`posts/${postId}`);
    await world.advanceFeeds(`posts/${postId}`);
  }
  assert.deepEqual(pushes, [[2, one], [2, two]], "a batch does one page of each");
  broken = true;
  await assert.rejects(world.slice());
  broken = false;
  await sql.query("UPDATE feeds.fan_outs SET taken_until = '-infinity' WHERE author_id = $1", [
    author,
  ]);
  await world.finishFanOuts();
  assert.deepEqual(pushes.slice(2).map(([, id]) => id), [one, two, one, two, one, two]);
  for (const reader of readers) assert.deepEqual(await cachedIds(cache, reader), [two, one]);
});

Deno.test("mergeLists: nothing below a floor, nothing twice", () => {
  const part = (ids: string, endsAtFloor = false) => ({ ids: [...ids], endsAtFloor });
  assert.deepEqual(mergeLists([part("fdb"), part("ed")], 9), part("fedb"));
  assert.deepEqual(mergeLists([part("fdb"), part("ed")], 2), part("fe"));
  assert.deepEqual(mergeLists([part("fdb"), part("ec", true)], 9), part("fedc", true));
  assert.deepEqual(mergeLists([part("fdb"), part("", true)], 9), part("", true));
  assert.deepEqual(mergeLists([part("fd", true), part("ec", true)], 2), part("fe"));
});
