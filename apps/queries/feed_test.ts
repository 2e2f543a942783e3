import assert from "node:assert/strict";
import { createMemoryFeedCache } from "../../infra/feed-cache/memory.ts";
import { type FeedCache, feedWindow } from "../../infra/feed-cache/port.ts";
import type { Sql } from "../../infra/sql/port.ts";
import {
  blocked,
  followed,
  newId,
  openDatabase,
  postCreated,
  type Said,
  unfollowed,
  World,
} from "./testing/world.ts";

const sql = await openDatabase();

/** A reader who follows one author. */
async function follower(world = new World(sql)) {
  const [reader, author] = [newId(), newId()];
  await world.register(reader, author);
  await world.tell(followed(reader, author));
  return { world, reader, author };
}

function deleted(postId: string, authorId: string): Said {
  return { type: "PostDeleted", data: { postId, authorId, cause: "author" } };
}

/** A cache whose calls of one kind wait until they are let go. */
function held(cache: FeedCache, method: "claim" | "fill") {
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const wait = async () => {
    reached.resolve();
    await gate.promise;
  };
  const behind: FeedCache = {
    ...cache,
    ...(method === "claim"
      ? {
        claim: async (readerId) => {
          const claim = await cache.claim(readerId);
          await wait();
          return claim;
        },
      }
      : {
        fill: async (claim, ids, reachesFirst) => {
          await wait();
          return await cache.fill(claim, ids, reachesFirst);
        },
      }),
  };
  return { cache: behind, reached: reached.promise, letGo: () => gate.resolve() };
}

/** A database that answers together what it was asked together, and tells how much that was. */
function inRounds(sql: Sql) {
  const rounds: number[] = [];
  const waiting: (() => void)[] = [];
  const query: Sql["query"] = async (text, parameters) => {
    if (waiting.length === 0) {
      setTimeout(() => {
        rounds.push(waiting.length);
        for (const go of waiting.splice(0)) go();
      }, 5);
    }
    await new Promise<void>((go) => waiting.push(go));
    return await sql.query(text, parameters);
  };
  return { rounds, sql: { ...bound(sql), query } };
}

function bound(sql: Sql): Sql {
  return {
    query: (text, parameters) => sql.query(text, parameters),
    execute: (text) => sql.execute(text),
    copy: (table, columns, rows) => sql.copy(table, columns, rows),
    transaction: (work) => sql.transaction(work),
    close: () => sql.close(),
  };
}

Deno.test("feed: a miss waits for the database twice, and is filled after that", async () => {
  const { world, reader, author } = await follower();
  await world.post(author, 30);
  const { rounds, sql: traced } = inRounds(sql);
  const cold = new World(traced);
  const { items } = await cold.feedPage(reader, 20, null);
  assert.equal(items.length, 20);
  // Which posts; then posts, authors, media, likes and relations; then the filling: whom it pulls, posts.
  assert.deepEqual(rounds, [1, 5, 1, 1]);
  await cold.feedPage(reader, 20, null);
  assert.equal(rounds.length, 4, "a warm read asks nothing");
});

Deno.test("feed: a miss is served from the database and fills the cache", async () => {
  const { world, reader, author } = await follower();
  const posts = await world.post(author, 3);
  assert.equal((await world.cache.read(reader, { limit: 1 })).state, "missing");
  assert.deepEqual(await world.feed(reader, 2), posts.toReversed());
  assert.deepEqual(await world.cache.read(reader, { limit: 9 }), {
    state: "complete",
    ids: posts.toReversed(),
    endsAtFloor: false,
    pulls: [],
  });
  assert.deepEqual(await world.feed(reader, 2), posts.toReversed());
});

Deno.test("feed: what is posted between claim and filling is not lost", async () => {
  for (const method of ["claim", "fill"] as const) {
    const { cache, reached, letGo } = held(createMemoryFeedCache(), method);
    const { world, reader, author } = await follower(new World(sql, { cache }));
    const [before = ""] = await world.post(author);
    const reading = world.feed(reader);
    await reached;
    const [during = ""] = await world.post(author);
    letGo();
    await reading;
    assert.deepEqual(await world.feed(reader), [during, before], `while ${method} is under way`);
  }
});

Deno.test("feed: readers who miss it at the same time fill it once", async () => {
  let fills = 0;
  const cache = createMemoryFeedCache();
  const counting: FeedCache = {
    ...cache,
    fill: (...parameters) => (fills++, cache.fill(...parameters)),
  };
  const { world, reader, author } = await follower(new World(sql, { cache: counting }));
  const posts = await world.post(author, 2);
  const feeds = await Promise.all(Array.from({ length: 5 }, () => world.feed(reader)));
  for (const feed of feeds) assert.deepEqual(feed, posts.toReversed());
  assert.equal(fills, 1);
});

Deno.test("feed: a reader on their way sees nothing twice and misses nothing while posts arrive", async () => {
  const { world, reader, author } = await follower();
  const before = await world.post(author, 5);
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page = await world.feedPage(reader, 2, cursor);
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.nextCursor;
    await world.post(author);
  } while (cursor !== null);
  assert.deepEqual(seen, before.toReversed());
});

Deno.test("feed: below the window the database goes on, to the first post", async () => {
  const { world, reader, author } = await follower();
  const posts = await world.post(author, feedWindow + 30);
  const newestFirst = posts.toReversed();
  for (const state of ["missing", "filled"]) {
    assert.deepEqual(await world.feed(reader, 100), newestFirst, state);
  }
  await world.tell(...posts.slice(-40).map((id) => deleted(id, author)));
  assert.deepEqual(await world.feed(reader, 100), newestFirst.slice(40), "with some deleted");
});

Deno.test("feed: following one with more posts than a window leaves no hole below it", async () => {
  const world = new World(sql);
  const [reader, author] = [newId(), newId()];
  await world.register(reader, author);
  const posts = await world.post(author, feedWindow + 3);
  assert.deepEqual(await world.feed(reader), [], "the cached feed is empty and has no floor");
  await world.tell(followed(reader, author));
  assert.deepEqual(await world.feed(reader, 100), posts.toReversed());
});

Deno.test("feed: a page emptied by deletions is filled up from what follows", async () => {
  const { world, reader, author } = await follower();
  const posts = await world.post(author, 9);
  await world.feed(reader);
  await world.tell(...posts.slice(2).map((id) => deleted(id, author)));
  const page = await world.feedPage(reader, 2, null);
  assert.deepEqual(page.items.map(({ id }) => id), posts.slice(0, 2).toReversed());
  assert.equal(page.nextCursor, null, "the last full page says that it is the last");
});

Deno.test("feed: a block empties whole pages, both ways, and an unblock brings nothing back", async () => {
  const { world, reader, author } = await follower();
  const friend = newId();
  await world.register(friend);
  await world.tell(followed(reader, friend), followed(author, reader));
  const [kept = ""] = await world.post(friend);
  await world.post(author, 6);
  const [mine = ""] = await world.post(reader);
  assert.deepEqual(await world.feed(author), [mine]);
  await world.feed(reader);
  await world.tell(...blocked(reader, author));
  const page = await world.feedPage(reader, 3, null);
  assert.deepEqual([page.items.map(({ id }) => id), page.nextCursor], [[kept], null]);
  assert.deepEqual(await world.feed(author), []);
  await world.tell({
    type: "AccountUnblocked",
    data: { blockerId: reader, blockedId: author },
  });
  assert.deepEqual([await world.feed(reader), await world.feed(author)], [[kept], []]);
});

Deno.test("feed: a follow that outlives a block shows again when the block is lifted", async () => {
  const { world, reader, author } = await follower();
  const posts = await world.post(author, 2);
  await world.feed(reader);
  // The follow was decided before the block was known, and lies behind the unfollow it brought.
  await world.tell(...blocked(author, reader), followed(reader, author));
  assert.deepEqual(await world.feed(reader), []);
  await world.tell({ type: "AccountUnblocked", data: { blockerId: author, blockedId: reader } });
  assert.deepEqual(await world.feed(reader), posts.toReversed());
});

Deno.test("feed: an unfollow delivered again after a later follow takes nothing out", async () => {
  const { world, reader, author } = await follower();
  const posts = await world.post(author, 2);
  await world.feed(reader);
  await world.tell(unfollowed(reader, author));
  assert.deepEqual(await world.feed(reader), []);
  await world.tell(followed(reader, author));
  await world.advanceFeeds(`follows/${reader}`, 2);
  assert.deepEqual(await world.feed(reader), posts.toReversed());
});

Deno.test("feed: an unfollow shows at once, though the cached feed has not taken it", async () => {
  const { world, reader, author } = await follower();
  await world.post(author, 4);
  await world.feed(reader);
  world.append(unfollowed(reader, author));
  await world.advanceReadModel(`follows/${reader}`);
  assert.deepEqual(await world.feed(reader, 2), []);
});

Deno.test("feed: a member that lost its partition late undoes nothing", async () => {
  const cache = createMemoryFeedCache();
  const gate = Promise.withResolvers<void>();
  const removing = Promise.withResolvers<void>();
  let hold = false;
  const slow: FeedCache = {
    ...cache,
    drop: async (...parameters) => {
      if (hold) {
        hold = false;
        removing.resolve();
        await gate.promise;
      }
      await cache.drop(...parameters);
    },
  };
  const { world, reader, author } = await follower(new World(sql, { cache: slow }));
  const posts = await world.post(author, 2);
  await world.feed(reader);
  const partition = `follows/${reader}`;
  world.append(unfollowed(reader, author));
  await world.advanceReadModel(partition);
  hold = true;
  const late = world.advanceFeeds(partition);
  await removing.promise;
  world.append(followed(reader, author));
  await world.advanceReadModel(partition);
  await world.advanceFeeds(partition, 1);
  gate.resolve();
  await late;
  assert.deepEqual(await world.feed(reader), posts.toReversed());
});

Deno.test("feed: a post whose author is not known yet is shown once they are", async () => {
  const world = new World(sql);
  const [reader, author, post] = [newId(), newId(), newId()];
  await world.register(reader);
  await world.tell(followed(reader, author), postCreated(post, author));
  assert.deepEqual(await world.feed(reader), []);
  await world.register(author);
  assert.deepEqual(await world.feed(reader), [post]);
});

Deno.test("feed: closed authors go, and so does a closed reader's feed", async () => {
  const { world, reader, author } = await follower();
  await world.post(author, 2);
  await world.feed(reader);
  await world.tell({ type: "AccountClosed", data: { accountId: author } });
  assert.deepEqual(await world.feed(reader), []);
  await world.tell({ type: "AccountClosed", data: { accountId: reader } });
  assert.equal((await world.cache.read(reader, { limit: 1 })).state, "missing");
});

Deno.test("feed: a post is left out while all its media are rejected", async () => {
  const { world, reader, author } = await follower();
  const [bad, good, half, hidden] = [newId(), newId(), newId(), newId()];
  await world.tell(
    postCreated(half, author, [bad, good]),
    postCreated(hidden, author, [bad]),
    {
      type: "MediaRejected",
      data: { mediaId: bad, ownerId: author, reason: "truncated", detail: "It ends early." },
    },
  );
  assert.deepEqual(await world.feed(reader), [half]);
});

Deno.test("feed: a post redriven into the read model reaches feeds filled meanwhile", async () => {
  const { world, reader, author } = await follower();
  const [kept = ""] = await world.post(author);
  const postId = newId();
  world.append(postCreated(postId, author));
  const partition = world.partitions.get(`posts/${postId}`);
  assert.ok(partition);
  // A dead letter of the read model: it has passed the record and does not have the post.
  partition.readModel = partition.feeds = 1;
  assert.deepEqual(await world.feed(reader), [kept]);
  partition.readModel = 0;
  await world.advanceReadModel(`posts/${postId}`);
  assert.deepEqual(await world.feed(reader), [kept], "the cached feed does not know of it");
  await world.redriven(`posts/${postId}`);
  assert.deepEqual(await world.feed(reader), [postId, kept]);
});

Deno.test("feed: a post redriven while it is still being fanned out reaches feeds behind the cursor", async () => {
  const { world, reader, author } = await follower(new World(sql, { followersAtATime: 1 }));
  const others = Array.from({ length: 3 }, newId);
  await world.register(...others);
  for (const other of others) await world.tell(followed(other, author));
  const postId = newId();
  world.append(postCreated(postId, author));
  const partition = world.partitions.get(`posts/${postId}`);
  assert.ok(partition);
  // A dead letter of the read model, which the feeds fan out all the same: to two of four by now.
  partition.readModel = 1;
  await world.advanceFeeds(`posts/${postId}`);
  await world.slice();
  const told = others[1] ?? "";
  for (const one of [reader, told]) assert.deepEqual(await world.feed(one), []);
  partition.readModel = 0;
  await world.advanceReadModel(`posts/${postId}`);
  await world.redriven(`posts/${postId}`);
  await world.finishFanOuts();
  for (const one of [reader, told]) assert.deepEqual(await world.feed(one), [postId]);
});

Deno.test("feed: an unfollow forgets the feed, a closed followee does not", async () => {
  const { world, reader, author } = await follower();
  const friend = newId();
  await world.register(friend);
  await world.tell(followed(reader, friend));
  await world.feed(reader);
  const state = async () => (await world.cache.read(reader, { limit: 1 })).state;
  await world.tell({ type: "AccountClosed", data: { accountId: friend } });
  await world.tell(unfollowed(reader, friend));
  assert.equal(await state(), "complete", "or all followers' feeds would be filled at once");
  await world.tell(unfollowed(reader, author));
  assert.equal(await state(), "missing");
});

Deno.test("feed: fans out to more followers than one page of them", async () => {
  const cache = createMemoryFeedCache();
  const { world, reader, author } = await follower(new World(sql, { cache }));
  await world.feed(reader);
  await world.tell(...Array.from({ length: 1500 }, () => followed(newId(), author)));
  const [post = ""] = await world.post(author);
  const page = await cache.read(reader, { limit: 9 });
  assert.deepEqual(page.state === "complete" && page.ids, [post], "the oldest follower is reached");
});

Deno.test("feed: a cache out of reach costs speed, not the feed", async () => {
  const { world, author, reader } = await follower();
  const posts = await world.post(author, 3);
  const gone = () => Promise.reject(new Error("connection refused"));
  for (const broken of [{ read: gone }, { claim: gone }, { fill: gone }]) {
    const beside = new World(sql, { cache: { ...createMemoryFeedCache(), ...broken } });
    assert.deepEqual(await beside.feed(reader, 2), posts.toReversed());
    assert.deepEqual(await beside.feed(reader, 2), posts.toReversed());
  }
});
