import assert from "node:assert/strict";
import type { DomainEvent } from "../../../domain/events.ts";
import { originalKey, variantPrefix } from "../../../domain/media.ts";
import { edgeUnderTest, wherePresent } from "../../../infra/deploy/nginx/testing.ts";
import { createNginxEdge } from "../../../infra/edge-cache/nginx.ts";
import { type EdgeCache, EdgeUnavailable } from "../../../infra/edge-cache/port.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import type { ObjectStore } from "../../../infra/object-store/port.ts";
import { startReactor } from "../reactors/reactor.ts";
import { purgeMedia } from "../reactors/purge-media.ts";
import { openWorld, type World } from "../testing.ts";
import { until } from "../testing_until.ts";
import { purge, purgeLane } from "./purges.ts";

const owner = newId();

/** A medium with an original and two variants in the store. */
async function putMedium(store: ObjectStore) {
  const mediaId = newId();
  const keys = ["a", "b"].map((name) => `${variantPrefix(mediaId)}${name}.webp`);
  await store.put(originalKey(owner, mediaId), new Uint8Array(9), { contentType: "image/jpeg" });
  for (const key of keys) {
    await store.put(key, new Uint8Array(2_000), { contentType: "image/webp" });
  }
  return { mediaId, keys };
}

const envelope = () => ({ id: newId(), time: new Date().toISOString() });

function created(postId: string, mediaId: string): DomainEvent {
  return {
    ...envelope(),
    type: "PostCreated",
    data: { postId, authorId: owner, mediaIds: [mediaId], caption: null, altTexts: {} },
  };
}

function deleted(postId: string): DomainEvent {
  return {
    ...envelope(),
    type: "PostDeleted",
    data: { postId, authorId: owner, cause: "author" },
  };
}

async function purgedMedia(world: World): Promise<string[]> {
  const events = await world.events();
  return events.flatMap((event) => event.type === "MediaPurged" ? [event.data.mediaId] : []);
}

/** An edge that remembers what it was asked, and can be away. */
function edgeInMemory(settlesWithinMs = 0) {
  const state = { down: false, purged: [] as string[] };
  const edge: EdgeCache = {
    settlesWithinMs,
    purge(keys) {
      if (state.down) return Promise.reject(new EdgeUnavailable("switched off"));
      state.purged.push(...keys);
      return Promise.resolve();
    },
  };
  return { state, edge };
}

Deno.test("purge: nothing is recorded before the edge has confirmed", async () => {
  const { state, edge } = edgeInMemory();
  await using world = await openWorld({ edge });
  const { mediaId, keys } = await putMedium(world.store);
  state.down = true;
  await purge({ mediaId, ownerId: owner, cause: "post-deleted" }, world.services);
  assert.equal(await world.store.head(keys[0] ?? ""), undefined);
  let attempts = 0;
  const lane = purgeLane(world.services);
  const handle: typeof lane.handle = (...given) => (attempts++, lane.handle(...given));
  await world.onLane({ ...lane, handle }, async () => {
    await until("the edge was asked more than once", () => attempts > 2);
    assert.deepEqual(await purgedMedia(world), []);
    state.down = false;
    await until("it is recorded", async () => (await purgedMedia(world)).length > 0);
  });
  assert.deepEqual(await purgedMedia(world), [mediaId]);
  assert.deepEqual(state.purged.sort(), keys);
});

Deno.test("purge: killed after the deletion, it still purges what no list names any more", async () => {
  const { state, edge } = edgeInMemory();
  await using world = await openWorld({ edge });
  const { mediaId, keys } = await putMedium(world.store);
  const killed: ObjectStore = {
    ...world.store,
    delete: async (gone) => {
      await world.store.delete(gone);
      if (gone.includes(keys[0] ?? "")) throw new Error("killed");
    },
  };
  const medium = { mediaId, ownerId: owner, cause: "post-deleted" as const };
  await assert.rejects(purge(medium, { ...world.services, store: killed }), /killed/);
  assert.deepEqual(state.purged, []);
  await purge(medium, world.services);
  await world.onLane(
    purgeLane(world.services),
    () => until("it is recorded", async () => (await purgedMedia(world)).length > 0),
  );
  assert.deepEqual(new Set(state.purged), new Set(keys));
});

Deno.test("purge: the second one comes when the edge has settled", async () => {
  const { state, edge } = edgeInMemory(15_000);
  await using world = await openWorld({ edge });
  const { mediaId, keys } = await putMedium(world.store);
  await purge({ mediaId, ownerId: owner, cause: "post-deleted" }, world.services);
  assert.deepEqual(state.purged, keys, "gone at once");
  const lane = purgeLane(world.services);
  await world.onLane(lane, world.visited);
  assert.deepEqual(state.purged, keys, "a fetch may be under way");
  assert.deepEqual(await purgedMedia(world), []);
  const settled = () => until("it is recorded", async () => (await purgedMedia(world)).length > 0);
  await world.onLane(lane, settled, 15_000);
  assert.deepEqual(state.purged, [...keys, ...keys]);
});

await wherePresent("purging the edge when a post is deleted", ["nginx", "s3"], () => {
  Deno.test("purgeMedia: a deleted post's variant, served from the edge's cache, is 404 there", async () => {
    await using edge = await edgeUnderTest();
    const nginx = createNginxEdge({ purgeUrl: edge.cdn.purgeUrl });
    await using world = await openWorld({
      store: edge.store,
      edge: { ...nginx, settlesWithinMs: 500 },
    });
    const { mediaId, keys } = await putMedium(edge.store);
    const urls = keys.map((key) => `${edge.cdn.url}/${key}`);
    for (const url of urls) {
      assert.equal(await answerOf(url), "200 MISS");
      assert.equal(await answerOf(url), "200 HIT");
    }
    const reactor = await startReactor(purgeMedia(world.services), world.services);
    try {
      await world.onLane(purgeLane(world.services), async () => {
        const postId = newId();
        await world.append(created(postId, mediaId));
        await world.append(deleted(postId));
        await until("it is recorded", async () => (await purgedMedia(world)).length > 0);
        for (const url of urls) assert.match(await answerOf(url), /^404/);
      });
    } finally {
      await reactor.stop();
    }
    assert.equal(await edge.store.head(originalKey(owner, mediaId)), undefined);
  });

  Deno.test("purge: an image that a fetch begun before it brings back does not stay", async () => {
    await using edge = await edgeUnderTest();
    const nginx = createNginxEdge({ purgeUrl: edge.cdn.purgeUrl });
    await using world = await openWorld({
      store: edge.store,
      edge: { ...nginx, settlesWithinMs: 1_000 },
    });
    const { mediaId, keys: [key = ""] } = await putMedium(edge.store);
    const url = `${edge.cdn.url}/${key}`;
    const answer = Promise.withResolvers<void>();
    edge.holdBack(answer.promise);
    const begun = answerOf(url);
    await until("the edge has asked the store", () => edge.fetched() > 0);
    edge.holdBack(Promise.resolve());

    await purge({ mediaId, ownerId: owner, cause: "post-deleted" }, world.services);
    answer.resolve();
    assert.equal(await begun, "200 MISS");
    assert.equal(await answerOf(url), "200 HIT", "the fetch has brought it back");
    await world.onLane(
      purgeLane(world.services),
      () => until("it is recorded", async () => (await purgedMedia(world)).length > 0),
    );
    assert.match(await answerOf(url), /^404/);
  });
});

async function answerOf(url: string): Promise<string> {
  const answer = await fetch(url);
  await answer.body?.cancel();
  return `${answer.status} ${answer.headers.get("x-cache")}`;
}
