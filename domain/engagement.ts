import { z } from "zod";
import {
  accept,
  type Context,
  type Decider,
  type Decision,
  refuse,
  unreachable,
} from "./decision.ts";
import { defineEvent, type EventOf, personalText } from "./event.ts";
import type { Post } from "./post.ts";
import { accountId, commentId, commentText, postId } from "./values.ts";

// Events. The key is the post, so a post's likes and comments are ordered among themselves.

export const PostLiked = defineEvent({
  name: "PostLiked",
  version: 1,
  topic: "engagement",
  schema: z.strictObject({ postId, accountId }),
  key: (data) => data.postId,
});

export const PostUnliked = defineEvent({
  name: "PostUnliked",
  version: 1,
  topic: "engagement",
  schema: z.strictObject({ postId, accountId }),
  key: (data) => data.postId,
});

export const CommentAdded = defineEvent({
  name: "CommentAdded",
  version: 1,
  topic: "engagement",
  schema: z.strictObject({ postId, commentId, authorId: accountId, text: personalText }),
  key: (data) => data.postId,
  personal: ["text"],
  owner: (data) => data.authorId,
});

export const CommentDeleted = defineEvent({
  name: "CommentDeleted",
  version: 1,
  topic: "engagement",
  schema: z.strictObject({ postId, commentId, deletedBy: accountId }),
  key: (data) => data.postId,
});

export const engagementEvents = [PostLiked, PostUnliked, CommentAdded, CommentDeleted] as const;
export type EngagementEvent = EventOf<typeof engagementEvents[number]>;

// State: one post, as far as engaging with it goes.

export interface Engagement {
  readonly post: Post;
  /** Whether the post's author and the actor block one another, either way. */
  readonly blocked: boolean;
  /** The author of each comment that stands. */
  readonly comments: ReadonlyMap<string, string>;
}

function evolve(engagement: Engagement, event: EngagementEvent): Engagement {
  switch (event.type) {
    case "PostLiked":
    case "PostUnliked":
      return engagement;
    case "CommentAdded": {
      const { commentId, authorId } = event.data;
      return { ...engagement, comments: new Map(engagement.comments).set(commentId, authorId) };
    }
    case "CommentDeleted": {
      const comments = new Map(engagement.comments);
      comments.delete(event.data.commentId);
      return { ...engagement, comments };
    }
    default:
      return unreachable(event);
  }
}

// Decisions

export const newComment = z.strictObject({ text: commentText });

export type EngagementCommand =
  & { readonly postId: string; readonly actorId: string }
  & (
    | { readonly type: "Like" | "Unlike" }
    | { readonly type: "AddComment"; readonly commentId: string; readonly text: string }
    | { readonly type: "DeleteComment"; readonly commentId: string }
  );

/** Likes are a set, recorded whatever is known of it: see `follow.ts`. */
function decide(
  command: EngagementCommand,
  { post, blocked, comments }: Engagement,
  context: Context,
): Decision<EngagementEvent> {
  const envelope = () => ({ id: context.nextId(), time: context.now });
  const { postId, actorId } = command;
  if (post.status !== "live") return refuse("post-not-found", "no such post");
  const addsTo = command.type === "Like" || command.type === "AddComment";
  if (addsTo && blocked) return refuse("blocked", "you and this post's author are blocked");
  switch (command.type) {
    case "Like":
      return accept({ ...envelope(), type: "PostLiked", data: { postId, accountId: actorId } });
    case "Unlike":
      return accept({ ...envelope(), type: "PostUnliked", data: { postId, accountId: actorId } });
    case "AddComment": {
      const { commentId, text } = command;
      const data = { postId, commentId, authorId: actorId, text };
      return accept({ ...envelope(), type: "CommentAdded", data });
    }
    case "DeleteComment": {
      const { commentId } = command;
      const authorId = comments.get(commentId);
      if (authorId === undefined) return refuse("comment-not-found", "no such comment");
      if (authorId !== actorId && post.authorId !== actorId) {
        return refuse("not-the-author", "only its author or the post's may delete a comment");
      }
      const data = { postId, commentId, deletedBy: actorId };
      return accept({ ...envelope(), type: "CommentDeleted", data });
    }
    default:
      return unreachable(command);
  }
}

export const engagementDecider: Decider<Engagement, EngagementCommand, EngagementEvent> = {
  initialState: { post: { status: "unknown" }, blocked: false, comments: new Map() },
  decide,
  evolve,
};
