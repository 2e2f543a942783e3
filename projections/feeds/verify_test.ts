import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { createMemoryFeedCache } from "../../infra/feed-cache/memory.ts";
import type { FeedCache } from "../../infra/feed-cache/port.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { createManifests } from "../manifests/manifests.ts";
import { readModel } from "../read-model/read-model.ts";
import { catchUp, encodeAll, openSealer, WrittenLog } from "../runner/harness.ts";
import { LiveSql } from "../runner/live-schemas.ts";
import { explainFeed } from "./explain.ts";
import { createFeeds } from "./feeds.ts";
import { verifyFeeds } from "./verify.ts";

type Data = { [Type in DomainEvent["type"]]: Extract<DomainEvent, { type: Type }>["data"] };

function event<Type extends DomainEvent["type"]>(type: Type, data: Data[Type]): DomainEvent {
  return { id: newId(), time: "2026-01-01T00:00:00.000Z", type, data } as DomainEvent;
}

const [reader, author, other, celebrity] = Array.from({ length: 4 }, newId) as [
  string,
  string,
  string,
  string,
];
const [first, second, gone, theirs] = Array.from({ length: 4 }, newId) as [
  string,
  string,
  string,
  string,
];
const created = (postId: string, authorId: string) =>
  event("PostCreated", { postId, authorId, mediaIds: [newId()], caption: null, altTexts: {} });

const events = [
  ...[reader, author, other, celebrity].map((accountId, n) =>
    event("AccountRegistered", { accountId, handle: `handle${n}`, displayName: null })
  ),
  event("AccountFollowed", { followerId: reader, followeeId: author }),
  event("AccountFollowed", { followerId: reader, followeeId: celebrity }),
  event("AccountFollowed", { followerId: other, followeeId: celebrity }),
  created(first, author),
  created(second, author),
  created(gone, author),
  event("PostDeleted", { postId: gone, authorId: author, cause: "author" }),
  created(theirs, celebrity),
];

/** Everything has arrived; the reader's feed is cached as the caller fills it. */
async function scene() {
  const database = await openInMemory();
  const sql = new LiveSql(database);
  const written = new WrittenLog(await encodeAll(events), 4);
  const log = {
    ...{ ensureTopics: never, inspectTopics: never, append: never, consume: never, close: never },
    read: written.read.bind(written),
    watermarks: written.watermarks.bind(written),
  };
  const [cache, authorCache] = [createMemoryFeedCache(), createMemoryFeedCache()];
  const feeds = createFeeds({ cache, authorCache, sql, pullThreshold: 2 });
  const projections = [
    readModel,
    createManifests({ cdnBaseUrl: "https://cdn.example" }),
    feeds.projection,
  ];
  for (const projection of projections) {
    await catchUp(projection, { log, sql: database, sealer: openSealer, strict: true });
  }
  while (await feeds.worker.slice());
  return { inspected: { log, sql, cache, authorCache }, close: () => database.close() };
}

function never(): never {
  throw new Error("is not asked for");
}

async function cached(cache: FeedCache, id: string, ids: string[], pulls: string[] = []) {
  const claim = await cache.claim(id);
  assert.ok(claim);
  for (const authorId of pulls) await cache.pull([id], authorId);
  await cache.fill(claim, ids, true);
}

Deno.test("verifyFeeds: a feed that is right is, one that lacks a post is found and forgotten", async () => {
  const { inspected, close } = await scene();
  try {
    const { cache, authorCache } = inspected;
    await cached(cache, reader, [second, first, gone], [celebrity]);
    await cached(authorCache, celebrity, [theirs]);
    const right = await verifyFeeds(inspected, { repair: true });
    assert.deepEqual(right, { feeds: 1, lists: 1, behind: 0, differences: [], repaired: 0 });

    await cache.drop([reader]);
    await authorCache.drop([celebrity]);
    const stranger = "0193aef0-1c00-7000-8000-000000000001";
    await cached(cache, reader, [second, stranger], [celebrity]);
    await cached(authorCache, celebrity, []);
    const wrong = await verifyFeeds(inspected, { readerIds: [reader, other], repair: false });
    assert.deepEqual(wrong.differences, [
      { kind: "feed", id: reader, missing: [first], unknown: [stranger] },
      { kind: "author's list", id: celebrity, missing: [theirs], unknown: [] },
    ]);
    assert.equal((await verifyFeeds(inspected, { repair: true })).repaired, 2);
    assert.equal((await cache.read(reader, { limit: 1 })).state, "missing");
    assert.equal((await authorCache.read(celebrity, { limit: 1 })).state, "missing");
  } finally {
    await close();
  }
});

Deno.test("verifyFeeds: a post that is appended while the log is read is not held to be unknown", async () => {
  const { inspected, close } = await scene();
  try {
    const { cache, sql } = inspected;
    // Older than the newest that was read: its partition had been read by then.
    const meanwhile = first.replace(/.$/, (last) => last === "0" ? "1" : "0");
    await sql.query(
      "INSERT INTO read_model.post_authors (post_id, author_id) VALUES ($1, $2)",
      [meanwhile, author],
    );
    await cached(cache, reader, [second, first, meanwhile], [celebrity]);
    assert.deepEqual((await verifyFeeds(inspected, { repair: false })).differences, []);
  } finally {
    await close();
  }
});

Deno.test("explainFeed: ends with why, for every way there is", async () => {
  const { inspected, close } = await scene();
  try {
    const { cache, authorCache } = inspected;
    const verdict = async (readerId: string, postId: string) =>
      (await explainFeed(inspected, readerId, postId)).verdict;
    assert.match(await verdict(reader, newId()), /no such post/);
    assert.match(await verdict(reader, gone), /handle1's post was deleted/);
    assert.match(await verdict(other, first), /does not follow handle1/);
    assert.match(
      await verdict(reader, first),
      /served from the database, since the feed is missing/,
    );
    await cached(cache, reader, [second], [celebrity]);
    assert.match(await verdict(reader, second), /served from the cache, at place 1/);
    assert.match(await verdict(reader, theirs), /the database, as its author's list is not cached/);
    await cached(authorCache, celebrity, [theirs]);
    assert.match(await verdict(reader, theirs), /own list, which the feed pulls/);
    const hole = await explainFeed(inspected, reader, first);
    assert.ok(!hole.right && /missing from the cache: .*--repair/.test(hole.verdict));
    assert.match(
      hole.steps.find(({ step }) => step === "post")?.found ?? "",
      /^PostCreated at posts\/\d offset \d+/,
    );
    await inspected.sql.query(
      "INSERT INTO feeds.fan_outs (fan_out_id, author_id, kind, before) VALUES ($1, $2, 'push', $1)",
      [first, author],
    );
    assert.match(await verdict(reader, first), /the fan-out is still to come/);
  } finally {
    await close();
  }
});
