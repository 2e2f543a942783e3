import assert from "node:assert/strict";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { createMemoryCardCache } from "../../../infra/card-cache/memory.ts";
import type { CardCache, Listener } from "../../../infra/card-cache/port.ts";
import { formatPosition } from "../../../infra/event-log/position.ts";
import type { Sql } from "../../../infra/sql/port.ts";
import type { DomainEvent } from "../../../domain/events.ts";
import { createCards } from "../../../projections/cards/cards.ts";
import {
  blocked,
  followed,
  newId,
  openDatabase,
  postCreated,
  type Said,
  unfollowed,
  World,
} from "../testing/world.ts";
import { Hydration } from "./hydration.ts";

const sql = await openDatabase();

/** The same database, with a word before each statement. */
function watched(before: (text: string) => void | Promise<void>): Sql {
  return {
    query: async (text, parameters) => {
      await before(text);
      return await sql.query(text, parameters);
    },
    execute: (text) => sql.execute(text),
    copy: (table, columns, rows) => sql.copy(table, columns, rows),
    transaction: (work) => sql.transaction(work),
    close: () => sql.close(),
  };
}

/** A viewer who follows an author with a ready photograph, and one with a photograph in the works. */
async function scene(world: World) {
  const [viewer, author, stranger] = [newId(), newId(), newId()];
  const [medium, avatar, working] = [newId(), newId(), newId()];
  await world.register(viewer, author);
  const [post, other] = [newId(), newId()];
  await world.tell(
    followed(viewer, author),
    ready(medium, author),
    { type: "ProfileChanged", data: { accountId: author, avatarMediaId: avatar } },
    postCreated(post, author, [medium]),
    postCreated(other, author, [working]),
  );
  return { viewer, author, stranger, medium, avatar, working, post, other };
}

type Scene = Awaited<ReturnType<typeof scene>>;

function ready(mediaId: string, ownerId: string): Said {
  const variant = {
    objectKey: `v/${mediaId}`,
    width: 150,
    height: 150,
    byteLength: 9,
    contentType: "image/webp" as const,
  };
  return {
    type: "VariantsReady",
    data: {
      mediaId,
      ownerId,
      recipe: 1,
      placeholder: "AAAA",
      width: 1080,
      height: 720,
      variants: { thumbnail: variant, medium: variant, large: variant },
    },
  };
}

const comment = newId();

/** By event type: something said that changes what the viewer is shown, after `before`. */
const changes: Record<
  Exclude<DomainEvent["type"], "MediaUploaded">,
  { before?: (scene: Scene) => Said[]; said: (scene: Scene) => Said[] }
> = {
  AccountRegistered: {
    before: ({ viewer, stranger }) => [
      followed(viewer, stranger),
      postCreated(newId(), stranger),
    ],
    said: ({ stranger }) => [
      { type: "AccountRegistered", data: { accountId: stranger, handle: "late" } },
    ],
  },
  ProfileChanged: {
    said: ({ author }) => [
      { type: "ProfileChanged", data: { accountId: author, displayName: "Grace" } },
    ],
  },
  AccountClosed: {
    said: ({ author }) => [{ type: "AccountClosed", data: { accountId: author } }],
  },
  AccountFollowed: {
    before: ({ viewer, author }) => [unfollowed(viewer, author)],
    said: ({ viewer, author }) => [followed(viewer, author)],
  },
  AccountUnfollowed: { said: ({ viewer, author }) => [unfollowed(viewer, author)] },
  AccountBlocked: {
    said: ({ viewer, author }) => [
      { type: "AccountBlocked", data: { blockerId: author, blockedId: viewer } },
    ],
  },
  AccountUnblocked: {
    before: ({ viewer, author }) => [
      { type: "AccountBlocked", data: { blockerId: author, blockedId: viewer } },
    ],
    said: ({ viewer, author }) => [
      { type: "AccountUnblocked", data: { blockerId: author, blockedId: viewer } },
    ],
  },
  VariantsReady: { said: ({ working, author }) => [ready(working, author)] },
  MediaRejected: {
    said: ({ working, author }) => [
      {
        type: "MediaRejected",
        data: { mediaId: working, ownerId: author, reason: "truncated", detail: "It ends early." },
      },
    ],
  },
  MediaPurged: {
    said: ({ medium, author }) => [
      { type: "MediaPurged", data: { mediaId: medium, ownerId: author, cause: "post-deleted" } },
    ],
  },
  PostCreated: { said: ({ author }) => [postCreated(newId(), author)] },
  CaptionChanged: {
    said: ({ post, author }) => [
      { type: "CaptionChanged", data: { postId: post, authorId: author, caption: "Dusk" } },
    ],
  },
  PostDeleted: {
    said: ({ post, author }) => [
      { type: "PostDeleted", data: { postId: post, authorId: author, cause: "author" } },
    ],
  },
  PostLiked: {
    said: ({ post, viewer }) => [{ type: "PostLiked", data: { postId: post, accountId: viewer } }],
  },
  PostUnliked: {
    before: ({ post, viewer }) => [
      { type: "PostLiked", data: { postId: post, accountId: viewer } },
    ],
    said: ({ post, viewer }) => [
      { type: "PostUnliked", data: { postId: post, accountId: viewer } },
    ],
  },
  CommentAdded: {
    said: ({ post, viewer }) => [
      {
        type: "CommentAdded",
        data: { postId: post, commentId: newId(), authorId: viewer, text: "That light!" },
      },
    ],
  },
  CommentDeleted: {
    before: ({ post, viewer }) => [
      {
        type: "CommentAdded",
        data: { postId: post, commentId: comment, authorId: viewer, text: "That light!" },
      },
    ],
    said: ({ post, viewer }) => [
      { type: "CommentDeleted", data: { postId: post, commentId: comment, deletedBy: viewer } },
    ],
  },
};

async function shown(world: World, { viewer, post, other }: Scene): Promise<unknown> {
  const answers = [];
  for (const path of ["/v1/feed", `/v1/posts/${post}`, `/v1/posts/${other}`]) {
    const response = await world.get(path, viewer);
    const { instance: _, ...body } = await response.json();
    answers.push([response.status, body]);
  }
  return answers;
}

for (const [type, { before, said }] of Object.entries(changes)) {
  Deno.test(`cards: ${type} shows at once in what was kept before`, async () => {
    const world = new World(sql);
    const it = await scene(world);
    await world.tell(...before?.(it) ?? []);
    const old = await shown(world, it);
    assert.deepEqual(await shown(world, it), old);
    await world.tell(...said(it));
    const now = await shown(world, it);
    assert.notDeepEqual(now, old, "the event changes what is shown");
    assert.deepEqual(now, await shown(new World(sql), it), "as whoever keeps nothing is shown it");
  });
}

Deno.test("cards: an avatar that becomes ready, and one that is purged, show in every card", async () => {
  const world = new World(sql);
  const it = await scene(world);
  await shown(world, it);
  const avatars = async () => {
    const { items } = await world.read<{ items: { author: { avatar?: unknown } }[] }>(
      "/v1/feed",
      it.viewer,
    );
    return items.map(({ author }) => author.avatar !== undefined);
  };
  assert.deepEqual(await avatars(), [false, false]);
  await world.tell(ready(it.avatar, it.author));
  assert.deepEqual(await avatars(), [true, true]);
  await world.tell({
    type: "MediaPurged",
    data: { mediaId: it.avatar, ownerId: it.author, cause: "post-deleted" },
  });
  assert.deepEqual(await avatars(), [false, false]);
});

Deno.test("cards: a block shows at once to both", async () => {
  const world = new World(sql);
  const { viewer, author } = await scene(world);
  await world.tell(followed(author, viewer));
  await world.post(viewer, 2);
  assert.equal((await world.feed(viewer)).length, 2);
  assert.equal((await world.feed(author)).length, 2);
  await world.tell(...blocked(author, viewer).slice(0, 1));
  assert.deepEqual([await world.feed(viewer), await world.feed(author)], [[], []]);
});

Deno.test("cards: what is warm is read without a statement", async () => {
  const statements: string[] = [];
  const world = new World(watched((text) => void statements.push(text)));
  const it = await scene(world);
  await world.post(it.author, 30);
  const gone = await world.post(it.author, 2);
  await world.tell(...gone.map((postId): Said => ({
    type: "PostDeleted",
    data: { postId, authorId: it.author, cause: "author" },
  })));
  const paths = ["/v1/feed", "/v1/feed?limit=7", `/v1/posts/${it.post}`];
  const read = async () => {
    for (const path of paths) await world.read(path, it.viewer);
    await world.read(`/v1/posts/${it.post}`);
  };
  await read();
  statements.length = 0;
  await read();
  assert.deepEqual(statements, []);
  await world.tell({ type: "PostLiked", data: { postId: it.post, accountId: it.viewer } });
  await world.read(`/v1/posts/${it.post}`, it.viewer);
  assert.ok(statements.length > 0, "statements are counted");
});

/** A hydration whose statements wait at a gate, once it is shut. */
async function gated(cardCache: CardCache) {
  let gate: PromiseWithResolvers<void> | undefined;
  let reached = Promise.withResolvers<void>();
  const world = new World(sql);
  const it = await scene(world);
  const hydration = new Hydration({
    sql: watched(async (text) => {
      if (!/FROM manifests.media/.test(text) || !gate) return;
      reached.resolve();
      await gate.promise;
    }),
    cardCache,
    logger: silentLogger,
  });
  return {
    it,
    world,
    hydration,
    caption: async () => {
      const { cards: [card] } = await hydration.hydrate(undefined, [it.post]);
      return /"caption":"(\w+)"/.exec(card?.item ?? "")?.[1];
    },
    shut: () => {
      gate = Promise.withResolvers();
      reached = Promise.withResolvers();
      return { reached: reached.promise, open: () => (gate?.resolve(), gate = undefined) };
    },
    change: async (caption: string) => {
      const data = { postId: it.post, authorId: it.author, caption };
      const said = { type: "CaptionChanged", data } as const;
      await world.tell(said);
      const event = { ...said, id: newId(), time: new Date().toISOString() };
      await createCards({ cardCache }).apply(
        [{ topic: "posts", partition: 0, offset: 0, event }],
        new AbortController().signal,
      );
    },
  };
}

Deno.test("cards: what is read while it changes is not kept, and joined by nobody who comes later", async () => {
  const { caption, shut, change, hydration } = await gated(createMemoryCardCache());
  const { reached, open } = shut();
  const early = caption();
  await reached;
  await change("Dusk");
  const late = caption();
  open();
  assert.deepEqual([await early, await late], ["Dawn", "Dusk"]);
  assert.equal(await caption(), "Dusk");
  await hydration.stop();
});

Deno.test("cards: what was read before it changed is not kept after it", async () => {
  const { caption, shut, change, hydration } = await gated(createMemoryCardCache());
  const { reached, open } = shut();
  const early = caption();
  await reached;
  await change("Dusk");
  open();
  assert.equal(await early, "Dawn");
  assert.equal(await caption(), "Dusk");
  await hydration.stop();
});

Deno.test("cards: those who miss one at the same time read it once", async () => {
  const texts: string[] = [];
  const world = new World(sql);
  const it = await scene(world);
  const hydration = new Hydration({
    sql: watched((text) => void texts.push(text)),
    cardCache: createMemoryCardCache(),
    logger: silentLogger,
  });
  const hydrated = await Promise.all(
    Array.from({ length: 9 }, () => hydration.hydrate(undefined, [it.post, it.other])),
  );
  assert.equal(texts.filter((text) => /FROM read_model\.posts\s/.test(text)).length, 1);
  for (const { cards } of hydrated) assert.ok(cards[0] && cards[1]);
  await hydration.stop();
});

/** A card cache whose news can be cut off. */
function deaf() {
  const cache = createMemoryCardCache();
  const listeners: Listener[] = [];
  let live = true;
  const cut: CardCache = {
    ...cache,
    listen(listener) {
      listeners.push(listener);
      return {
        get live() {
          return live;
        },
        caughtUp: () => Promise.resolve(),
        stop: () => Promise.resolve(),
      };
    },
  };
  return {
    cut,
    lapse: () => live = false,
    lose: () => {
      live = false;
      for (const listener of listeners) listener.lost();
    },
    regain: () => live = true,
  };
}

Deno.test("cards: who does not hear shows what the database has, and keeps nothing of it", async () => {
  const { cut, lose, regain } = deaf();
  const { caption, change, shut, hydration } = await gated(cut);
  assert.equal(await caption(), "Dawn");
  lose();
  await change("Dusk");
  assert.equal(await caption(), "Dusk");
  const { reached, open } = shut();
  const reading = caption();
  await reached;
  regain();
  open();
  assert.equal(await reading, "Dusk");
  await change("Night");
  assert.equal(await caption(), "Night", "what was begun while it did not hear is not kept");
  await hydration.stop();
});

Deno.test("cards: who waits for a position waits until what was evicted by then has been heard", async () => {
  const cardCache = createMemoryCardCache();
  let waits = 0;
  const world = new World(sql, {
    cardCache: {
      ...cardCache,
      listen: (listener) => ({
        ...cardCache.listen(listener),
        caughtUp: () => Promise.resolve(void waits++),
      }),
    },
  });
  const it = await scene(world);
  const position = formatPosition([{ topic: "posts", partition: 3, offset: 7 }]);
  for (const path of ["/v1/feed", `/v1/posts/${it.post}`, `/v1/accounts/${it.author}/posts`]) {
    const before = waits;
    await (await world.get(path, it.viewer)).body?.cancel();
    assert.equal(waits, before);
    await (await world.get(path, it.viewer, { "await-position": position })).body?.cancel();
    assert.equal(waits, before + 1, path);
  }
});

Deno.test("cards: what is kept is not shown by who has not heard for a while", async () => {
  const { cut, lapse } = deaf();
  const { caption, world, it, hydration } = await gated(cut);
  assert.equal(await caption(), "Dawn");
  lapse();
  const data = { postId: it.post, authorId: it.author, caption: "Dusk" };
  await world.tell({ type: "CaptionChanged", data });
  assert.equal(await caption(), "Dusk");
  await hydration.stop();
});

Deno.test("cards: a shared cache out of reach costs speed, not the answer", async () => {
  const gone = () => Promise.reject(new Error("connection refused"));
  for (const broken of [{ take: gone }, { fill: gone }]) {
    const { caption, hydration } = await gated({ ...createMemoryCardCache(), ...broken });
    assert.deepEqual([await caption(), await caption()], ["Dawn", "Dawn"]);
    await hydration.stop();
  }
});
