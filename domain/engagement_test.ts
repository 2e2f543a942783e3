import { engagementDecider } from "./engagement.ts";
import { given, idOf } from "./given_when_then.ts";
import type { Post } from "./post.ts";

const postId = idOf(1);
const author = idOf(2);
const actor = idOf(3);
const commentId = idOf(4);

const on = (post: Post, blocked = false): typeof engagementDecider => ({
  ...engagementDecider,
  initialState: { post, blocked, comments: new Map() },
});
const live = on({ status: "live", authorId: author });

const added = {
  type: "CommentAdded",
  data: { postId, commentId, authorId: actor, text: "Lovely" },
} as const;

Deno.test("engagement: likes are a set, recorded whatever is known", () => {
  const liked = { type: "PostLiked", data: { postId, accountId: actor } } as const;
  const unliked = { type: "PostUnliked", data: { postId, accountId: actor } } as const;
  given(live).when({ type: "Like", postId, actorId: actor }).then(liked);
  given(live, liked).when({ type: "Like", postId, actorId: actor }).then(liked);
  given(live).when({ type: "Unlike", postId, actorId: actor }).then(unliked);
});

Deno.test("engagement: a comment is added to a post that is there", () => {
  given(live).when({ type: "AddComment", postId, actorId: actor, commentId, text: "Lovely" })
    .then(added);
});

Deno.test("engagement: none with a post that is deleted or never was", () => {
  for (const post of [{ status: "unknown" }, { status: "deleted", authorId: author }] as const) {
    const state = given(on(post), added);
    state.when({ type: "Like", postId, actorId: actor }).thenRefused("post-not-found");
    state.when({ type: "Unlike", postId, actorId: actor }).thenRefused("post-not-found");
    state.when({ type: "AddComment", postId, actorId: actor, commentId, text: "x" })
      .thenRefused("post-not-found");
    state.when({ type: "DeleteComment", postId, actorId: actor, commentId })
      .thenRefused("post-not-found");
  }
});

Deno.test("engagement: a block stops what adds, not what takes back", () => {
  const blocked = given(on({ status: "live", authorId: author }, true), added);
  blocked.when({ type: "Like", postId, actorId: actor }).thenRefused("blocked");
  blocked.when({ type: "AddComment", postId, actorId: actor, commentId, text: "x" })
    .thenRefused("blocked");
  blocked.when({ type: "Unlike", postId, actorId: actor })
    .then({ type: "PostUnliked", data: { postId, accountId: actor } });
  blocked.when({ type: "DeleteComment", postId, actorId: actor, commentId })
    .then({ type: "CommentDeleted", data: { postId, commentId, deletedBy: actor } });
});

Deno.test("engagement: a comment is deleted by its author or the post's, once", () => {
  const deletedBy = (id: string) =>
    ({ type: "CommentDeleted", data: { postId, commentId, deletedBy: id } }) as const;
  const standing = given(live, added);
  for (const id of [actor, author]) {
    standing.when({ type: "DeleteComment", postId, actorId: id, commentId }).then(deletedBy(id));
  }
  standing.when({ type: "DeleteComment", postId, actorId: idOf(9), commentId })
    .thenRefused("not-the-author");
  given(live, added, deletedBy(actor))
    .when({ type: "DeleteComment", postId, actorId: actor, commentId })
    .thenRefused("comment-not-found");
});
