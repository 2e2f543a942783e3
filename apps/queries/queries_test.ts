import assert from "node:assert/strict";
import { handleKey } from "../../domain/values.ts";
import { encodeCursor } from "./page-query.ts";
import * as routes from "./routes.ts";
import { account, card, comment, media, pageOf, profile } from "./schemas.ts";
import {
  allPages,
  blocked,
  followed,
  handleOf,
  newId,
  openDatabase,
  type Page,
  postCreated,
  type Said,
  World,
} from "./testing/world.ts";

const world = new World(await openDatabase());

async function people<const Names extends readonly string[]>(
  ...names: Names
): Promise<{ [K in keyof Names]: string }> {
  const ids = names.map(newId);
  await world.register(...ids);
  return ids as { [K in keyof Names]: string };
}

function ready(mediaId: string, ownerId: string): Said {
  const variant = (width: number) => ({
    objectKey: `variants/${mediaId}/${width}.webp`,
    width,
    height: width,
    byteLength: 9000,
    contentType: "image/webp",
  });
  return {
    type: "VariantsReady",
    data: {
      mediaId,
      ownerId,
      recipe: 1,
      width: 4000,
      height: 3000,
      placeholder: "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
      variants: { thumbnail: variant(150), medium: variant(600), large: variant(1080) },
    },
  };
}

const liked = (postId: string, accountId: string): Said => ({
  type: "PostLiked",
  data: { postId, accountId },
});

function commented(postId: string, authorId: string, text: string): Said {
  return { type: "CommentAdded", data: { postId, commentId: newId(), authorId, text } };
}

async function assertProblem(response: Response, status: number, code: string): Promise<void> {
  const problem = await response.json();
  assert.deepEqual([response.status, problem.type], [status, `/problems/${code}`]);
}

Deno.test("post: a card is what the contract says, text and all", async () => {
  const [author, viewer] = await people("author", "viewer");
  const [post, sharp, later] = [newId(), newId(), newId()];
  await world.tell(
    { type: "ProfileChanged", data: { accountId: author, bio: 'Says "hi"\n\u2028' } },
    { type: "ProfileChanged", data: { accountId: author, avatarMediaId: sharp } },
    ready(sharp, author),
    {
      type: "PostCreated",
      data: {
        postId: post,
        authorId: author,
        mediaIds: [later, sharp],
        caption: 'a "quoted" \\ caption 📷',
        altTexts: { [sharp]: 'A ridge, "sharp"' },
      },
    },
    liked(post, viewer),
    commented(post, viewer, "Lovely"),
  );
  const body = await world.read<Record<string, unknown>>(`/v1/posts/${post}`, viewer);
  const shown = card.strict().parse(body);
  assert.equal(shown.caption, 'a "quoted" \\ caption 📷');
  assert.deepEqual([shown.likeCount, shown.commentCount, shown.viewer.liked], [1, 1, true]);
  assert.deepEqual(shown.media.map(({ mediaId, status, altText }) => [mediaId, status, altText]), [
    [later, "processing", null],
    [sharp, "ready", 'A ridge, "sharp"'],
  ]);
  const { altText: _, ...manifest } = shown.media[1] ?? { altText: null };
  assert.deepEqual(await world.read(`/v1/media/${sharp}`), manifest);
  assert.deepEqual(shown.author, {
    id: author,
    handle: handleOf(author),
    displayName: handleOf(author),
    bio: 'Says "hi"\n\u2028',
    avatar: manifest,
  });
  const anonymous = await world.read<typeof shown>(`/v1/posts/${post}`);
  assert.deepEqual(anonymous, { ...shown, viewer: { liked: false } });
});

Deno.test("post: deleted, unknown, malformed or blocked is 404", async () => {
  const [author, viewer] = await people("author", "viewer");
  const [post = "", gone = ""] = await world.post(author, 2);
  await world.tell(
    { type: "PostDeleted", data: { postId: gone, authorId: author, cause: "author" } },
    ...blocked(viewer, author),
  );
  for (const id of [gone, newId(), "x", `${post}0`]) {
    await assertProblem(await world.get(`/v1/posts/${id}`), 404, "post-not-found");
  }
  for (const path of ["", "/comments", "/likes"]) {
    await assertProblem(await world.get(`/v1/posts/${post}${path}`, viewer), 404, "post-not-found");
  }
  await world.read(`/v1/posts/${post}`);
});

Deno.test("post: one whose media are all rejected is its author's alone", async () => {
  const [author, viewer] = await people("author", "viewer");
  const [post, bad] = [newId(), newId()];
  await world.tell(postCreated(post, author, [bad]), {
    type: "MediaRejected",
    data: { mediaId: bad, ownerId: author, reason: "truncated", detail: "It ends early." },
  });
  const own = card.parse(await world.read(`/v1/posts/${post}`, author));
  assert.equal(own.media[0]?.reason, "truncated");
  await assertProblem(await world.get(`/v1/posts/${post}`, viewer), 404, "post-not-found");
  const posts = `/v1/accounts/${author}/posts`;
  assert.equal((await world.read<Page>(posts, author)).items.length, 1);
  assert.equal((await world.read<Page>(posts, viewer)).items.length, 0);
});

Deno.test("lists: newest first, in pages that end with null, each entry once", async () => {
  const [author, ...others] = await people("author", "a", "b", "c", "d");
  const [post = ""] = await world.post(author);
  for (const other of others) {
    await world.tell(liked(post, other), followed(other, author), followed(author, other));
  }
  const newestFirst = others.toReversed();
  const lists = {
    [`/v1/posts/${post}/likes`]: newestFirst,
    [`/v1/accounts/${author}/followers`]: newestFirst,
    [`/v1/accounts/${author}/following`]: newestFirst,
  };
  for (const [path, expected] of Object.entries(lists)) {
    for (const limit of [1, 2, 4, 5]) {
      const ids = await allPages(async (cursor) => {
        const page = await world.read<Page>(
          `${path}?limit=${limit}${cursor === null ? "" : `&cursor=${cursor}`}`,
        );
        pageOf(account).strict().parse(page);
        assert.ok(page.nextCursor === null || page.items.length === limit);
        return page;
      });
      assert.deepEqual(ids, expected, `${path} by ${limit}`);
    }
    const last = await world.read<Page>(`${path}?limit=4`);
    assert.equal(last.nextCursor, null, "a full page that is the last says so");
  }
});

Deno.test("comments: text as written; deleted, closed and blocked authors' are left out", async () => {
  const [author, viewer, rude, gone] = await people("author", "viewer", "rude", "gone");
  const [post = ""] = await world.post(author);
  const deleted = commented(post, author, "oops");
  await world.tell(
    commented(post, author, 'first "line"\nsecond'),
    commented(post, rude, "x"),
    commented(post, gone, "y"),
    deleted,
  );
  const path = `/v1/posts/${post}/comments`;
  const texts = async (viewerId?: string) =>
    pageOf(comment.strict()).parse(await world.read(path, viewerId)).items.map(({ text }) => text);
  assert.deepEqual(await texts(), ["y", "x", 'first "line"\nsecond', "oops"]);
  assert.ok(deleted.type === "CommentAdded");
  const { commentId } = deleted.data;
  await world.tell(
    { type: "CommentDeleted", data: { postId: post, commentId, deletedBy: author } },
    { type: "AccountClosed", data: { accountId: gone } },
    ...blocked(rude, viewer),
  );
  assert.deepEqual(await texts(), ["x", 'first "line"\nsecond']);
  assert.deepEqual(await texts(viewer), ['first "line"\nsecond']);
  assert.deepEqual(await texts(rude), ["x", 'first "line"\nsecond'], "of others nothing is hidden");
});

Deno.test("profile: by id and by handle in whatever case, with counts and the viewer's side", async () => {
  const [author, viewer] = await people("author", "viewer");
  await world.tell(followed(viewer, author));
  await world.post(author, 2);
  const handle = handleOf(author);
  const byId = profile.strict().parse(await world.read(`/v1/accounts/${author}`, viewer));
  for (const name of [handle, handle.toUpperCase(), handleKey(handle)]) {
    assert.deepEqual(await world.read(`/v1/accounts/${name}`, viewer), byId);
  }
  assert.deepEqual([byId.postCount, byId.followerCount, byId.followingCount], [2, 1, 0]);
  assert.deepEqual(byId.viewer, { following: true, blocking: false });
  assert.deepEqual(await world.read(`/v1/accounts/${author}`), {
    ...byId,
    viewer: { following: false, blocking: false },
  });
});

Deno.test("profile: to the blocked there is no blocker; the blocker sees whom to unblock", async () => {
  const [blocker, other] = await people("blocker", "other");
  await world.tell(...blocked(blocker, other));
  for (const path of ["", "/posts", "/followers", "/following"]) {
    const response = await world.get(`/v1/accounts/${blocker}${path}`, other);
    await assertProblem(response, 404, "account-not-found");
  }
  const seen = profile.parse(await world.read(`/v1/accounts/${other}`, blocker));
  assert.deepEqual(seen.viewer, { following: false, blocking: true });
});

Deno.test("profile: closed, unknown, or known by its changes alone is 404", async () => {
  const [closed] = await people("closed");
  const early = newId();
  await world.tell(
    { type: "AccountClosed", data: { accountId: closed } },
    { type: "ProfileChanged", data: { accountId: early, displayName: "Early" } },
  );
  for (const name of [closed, handleOf(closed), early, newId(), "nobody.here"]) {
    await assertProblem(await world.get(`/v1/accounts/${name}`), 404, "account-not-found");
  }
});

Deno.test("account's posts: newest first, in pages, deleted ones left out", async () => {
  const [author] = await people("author");
  const posts = await world.post(author, 5);
  const deleted = posts.splice(2, 1)[0] ?? "";
  await world.tell({
    type: "PostDeleted",
    data: { postId: deleted, authorId: author, cause: "author" },
  });
  const ids = await allPages((cursor) =>
    world.read<Page>(
      `/v1/accounts/${author}/posts?limit=2${cursor === null ? "" : `&cursor=${cursor}`}`,
    )
  );
  assert.deepEqual(ids, posts.toReversed());
});

Deno.test("media: its owner's until it is ready, anyone's then, nobody's once purged", async () => {
  const [owner, other] = await people("owner", "other");
  const mediaId = newId();
  const path = `/v1/media/${mediaId}`;
  const statusFor = async (viewer?: string) => (await world.get(path, viewer)).status;
  await assertProblem(await world.get(path, owner), 404, "media-not-found");
  const objectKey = `originals/${owner}/${mediaId}`;
  await world.tell({
    type: "MediaUploaded",
    data: { mediaId, ownerId: owner, objectKey, contentType: "image/jpeg", byteLength: 9 },
  });
  assert.deepEqual(await world.read(path, owner), { mediaId, status: "processing" });
  assert.deepEqual([await statusFor(other), await statusFor()], [404, 404]);
  await world.tell(ready(mediaId, owner));
  assert.equal(media.strict().parse(await world.read(path)).status, "ready");
  await world.tell({
    type: "MediaPurged",
    data: { mediaId, ownerId: owner, cause: "post-deleted" },
  });
  assert.equal(await statusFor(owner), 404);
});

Deno.test("me: waits for an account just registered, and gives up with 503", async () => {
  const newcomer = newId();
  const waiting = world.get("/v1/me", newcomer);
  await world.register(newcomer);
  const { account: shown } = await (await waiting).json();
  assert.equal(account.strict().parse(shown).id, newcomer);
  const response = await world.get("/v1/me", newId());
  assert.equal(response.headers.get("retry-after"), "2");
  await assertProblem(response, 503, "unavailable");
});

Deno.test("queries: the feed and me need a token; a bad one is refused everywhere", async () => {
  const [author] = await people("author");
  const [post] = await world.post(author);
  for (const path of ["/v1/me", "/v1/feed"]) {
    await assertProblem(await world.get(path), 401, "unauthenticated");
  }
  const bad = { authorization: "Basic x" };
  await assertProblem(await world.get(`/v1/posts/${post}`, undefined, bad), 401, "unauthenticated");
});

Deno.test("queries: a limit, cursor or parameter that is none is a 400 that says which", async () => {
  const [viewer] = await people("viewer");
  const cursor = encodeCursor(newId());
  const bad = {
    "limit=0": "limit",
    "limit=101": "limit",
    "limit=1.5": "limit",
    "limit=": "limit",
    "limit=-1": "limit",
    "cursor=": "cursor",
    "cursor=x": "cursor",
    [`cursor=${cursor}A`]: "cursor",
    [`cursor=${cursor.slice(1)}!`]: "cursor",
  };
  const lists = ["/v1/feed", `/v1/accounts/${viewer}/posts`, `/v1/accounts/${viewer}/followers`];
  for (const list of lists) {
    for (const [query, name] of Object.entries(bad)) {
      const response = await world.get(`${list}?${query}`, viewer);
      const problem = await response.json();
      assert.deepEqual(
        [response.status, problem.type, problem.errors[0].path],
        [400, "/problems/invalid-query", name],
        query,
      );
    }
    await assertProblem(await world.get(`${list}?page=2`, viewer), 400, "invalid-query");
    assert.equal((await world.get(`${list}?limit=100&cursor=${cursor}`, viewer)).status, 200);
  }
});

Deno.test("queries: an unchanged answer is 304 to whoever has it", async () => {
  const [author] = await people("author");
  const [post = ""] = await world.post(author);
  const path = `/v1/posts/${post}`;
  const first = await world.get(path);
  const headers = { "if-none-match": first.headers.get("etag") ?? "" };
  assert.equal((await world.get(path, undefined, headers)).status, 304);
  await world.tell(liked(post, author));
  assert.equal((await world.get(path, undefined, headers)).status, 200);
});

Deno.test("routes: every query of the contract is there to be described", () => {
  assert.deepEqual(Object.values(routes).map(({ path }) => path).sort(), [
    "/v1/accounts/{accountId}/followers",
    "/v1/accounts/{accountId}/following",
    "/v1/accounts/{accountId}/posts",
    "/v1/accounts/{idOrHandle}",
    "/v1/feed",
    "/v1/me",
    "/v1/media/{mediaId}",
    "/v1/posts/{postId}",
    "/v1/posts/{postId}/comments",
    "/v1/posts/{postId}/likes",
  ]);
});
