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
import { accountId, altText, caption, mediaId, postId } from "./values.ts";

/** Photographs in one post. */
export const maximumMediaPerPost = 10;

// Events

export const PostCreated = defineEvent({
  name: "PostCreated",
  version: 1,
  topic: "posts",
  schema: z.strictObject({
    postId,
    authorId: accountId,
    mediaIds: z.array(mediaId).min(1).max(maximumMediaPerPost),
    caption: personalText,
    /** By media id; a medium without one has no alternative text. */
    altTexts: z.record(mediaId, personalText),
  }),
  key: (data) => data.postId,
  personal: ["caption", "altTexts"],
  owner: (data) => data.authorId,
});

export const CaptionChanged = defineEvent({
  name: "CaptionChanged",
  version: 1,
  topic: "posts",
  schema: z.strictObject({ postId, authorId: accountId, caption: personalText }),
  key: (data) => data.postId,
  personal: ["caption"],
  owner: (data) => data.authorId,
});

export const PostDeleted = defineEvent({
  name: "PostDeleted",
  version: 1,
  topic: "posts",
  schema: z.strictObject({
    postId,
    authorId: accountId,
    cause: z.enum(["author", "account-closed"]),
  }),
  key: (data) => data.postId,
});

export const postEvents = [PostCreated, CaptionChanged, PostDeleted] as const;
export type PostEvent = EventOf<typeof postEvents[number]>;

// State

export type Post =
  | { readonly status: "unknown" }
  | { readonly status: "live" | "deleted"; readonly authorId: string };

function evolve(post: Post, event: PostEvent): Post {
  if (post.status === "deleted") return post;
  switch (event.type) {
    case "PostCreated":
    case "CaptionChanged":
      return { status: "live", authorId: event.data.authorId };
    case "PostDeleted":
      return { status: "deleted", authorId: event.data.authorId };
    default:
      return unreachable(event);
  }
}

// Decisions

export const newPost = z.strictObject({
  mediaIds: z.array(mediaId).min(1).max(maximumMediaPerPost)
    .refine((ids) => new Set(ids).size === ids.length, "names a medium twice"),
  caption: caption.optional(),
  altTexts: z.record(mediaId, altText).optional(),
}).refine(
  ({ mediaIds, altTexts }) => Object.keys(altTexts ?? {}).every((id) => mediaIds.includes(id)),
  { path: ["altTexts"], message: "describes a medium that is not in mediaIds" },
);

export const captionChange = z.strictObject({ caption });

export type PostCommand =
  & { readonly postId: string; readonly actorId: string }
  & (
    | {
      readonly type: "CreatePost";
      readonly post: z.infer<typeof newPost>;
      /** Those of its media whose originals the store holds under the actor's id. */
      readonly uploaded: ReadonlySet<string>;
    }
    | { readonly type: "ChangeCaption"; readonly caption: string }
    | { readonly type: "DeletePost"; readonly cause: "author" | "account-closed" }
  );

function decide(command: PostCommand, post: Post, context: Context): Decision<PostEvent> {
  const envelope = () => ({ id: context.nextId(), time: context.now });
  const { postId, actorId } = command;
  if (command.type === "CreatePost") {
    const { mediaIds, caption = "", altTexts = {} } = command.post;
    const missing = mediaIds.filter((id) => !command.uploaded.has(id));
    if (missing.length > 0) {
      return refuse("media-not-uploaded", `not among your uploads: ${missing.join(", ")}`);
    }
    const data = { postId, authorId: actorId, mediaIds, caption, altTexts };
    return accept({ ...envelope(), type: "PostCreated", data });
  }
  if (post.status !== "live") return refuse("post-not-found", "no such post");
  if (post.authorId !== actorId) {
    return refuse("not-the-author", "only its author may change or delete a post");
  }
  switch (command.type) {
    case "ChangeCaption": {
      const data = { postId, authorId: actorId, caption: command.caption };
      return accept({ ...envelope(), type: "CaptionChanged", data });
    }
    case "DeletePost": {
      const data = { postId, authorId: actorId, cause: command.cause };
      return accept({ ...envelope(), type: "PostDeleted", data });
    }
    default:
      return unreachable(command);
  }
}

export const postDecider: Decider<Post, PostCommand, PostEvent> = {
  initialState: { status: "unknown" },
  decide,
  evolve,
};
