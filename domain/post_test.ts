import assert from "node:assert/strict";
import { given, idOf } from "./given_when_then.ts";
import { newPost, postDecider } from "./post.ts";

const postId = idOf(1);
const author = idOf(2);
const other = idOf(3);
const [first, second] = [idOf(10), idOf(11)];

const created = {
  type: "PostCreated",
  data: {
    postId,
    authorId: author,
    mediaIds: [first, second],
    caption: "Dawn",
    altTexts: { [first]: "A ridge" },
  },
} as const;
const deleted = {
  type: "PostDeleted",
  data: { postId, authorId: author, cause: "author" },
} as const;
const asSaid = { ...created, data: { ...created.data, mediaIds: [first, second] } };

const post = { mediaIds: [first, second], caption: "Dawn", altTexts: { [first]: "A ridge" } };

Deno.test("post: is created of media that are there", () => {
  given(postDecider)
    .when({ type: "CreatePost", postId, actorId: author, post, uploaded: new Set([first, second]) })
    .then(asSaid);
});

Deno.test("post: is refused when one of its media is not the author's, or not there", () => {
  given(postDecider)
    .when({ type: "CreatePost", postId, actorId: author, post, uploaded: new Set([first]) })
    .thenRefused("media-not-uploaded");
});

Deno.test("post: caption and alternative texts may be left out", () => {
  given(postDecider)
    .when({
      type: "CreatePost",
      postId,
      actorId: author,
      post: { mediaIds: [first] },
      uploaded: new Set([first]),
    })
    .then({
      type: "PostCreated",
      data: { postId, authorId: author, mediaIds: [first], caption: "", altTexts: {} },
    });
});

Deno.test("post: only its author edits or deletes", () => {
  const live = given(postDecider, asSaid);
  live.when({ type: "ChangeCaption", postId, actorId: other, caption: "x" })
    .thenRefused("not-the-author");
  live.when({ type: "DeletePost", postId, actorId: other, cause: "author" })
    .thenRefused("not-the-author");
  live.when({ type: "ChangeCaption", postId, actorId: author, caption: "Dusk" })
    .then({ type: "CaptionChanged", data: { postId, authorId: author, caption: "Dusk" } });
  live.when({ type: "DeletePost", postId, actorId: author, cause: "author" }).then(deleted);
});

Deno.test("post: one that is deleted, or never was, is not found", () => {
  for (const history of [[], [asSaid, deleted], [asSaid, deleted, asSaid]]) {
    const state = given(postDecider, ...history);
    state.when({ type: "DeletePost", postId, actorId: author, cause: "author" })
      .thenRefused("post-not-found");
    state.when({ type: "ChangeCaption", postId, actorId: author, caption: "x" })
      .thenRefused("post-not-found");
  }
});

Deno.test("newPost: 1 to 10 distinct media, alternative texts for its own media only", () => {
  const ids = (count: number) => Array.from({ length: count }, (_, n) => idOf(100 + n));
  const accepts = (value: unknown) => newPost.safeParse(value).success;
  assert.equal(accepts({ mediaIds: ids(1) }), true);
  assert.equal(accepts({ mediaIds: ids(10) }), true);
  assert.equal(accepts({ mediaIds: [] }), false);
  assert.equal(accepts({ mediaIds: ids(11) }), false);
  assert.equal(accepts({ mediaIds: [first, first] }), false);
  assert.equal(accepts({ mediaIds: [first], altTexts: { [second]: "x" } }), false);
  assert.equal(accepts({ mediaIds: [first], altTexts: { [first]: "x" } }), true);
  assert.equal(accepts({ mediaIds: [first], location: "here" }), false);
  assert.equal(accepts({ mediaIds: [first], caption: "x".repeat(2201) }), false);
});
