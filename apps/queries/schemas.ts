import { z } from "@hono/zod-openapi";
import { rejectionReason } from "../../domain/media.ts";

const id = z.uuid().openapi({ example: "0193aef0-1c00-7abc-8def-000000000001" });
const time = z.iso.datetime().openapi({ example: "2026-11-22T18:00:00.000Z" });
const count = z.int().nonnegative();

const variant = z.object({
  url: z.url(),
  width: z.int().positive(),
  height: z.int().positive(),
  byteLength: z.int().positive(),
  contentType: z.string(),
}).openapi("Variant");

export const media = z.object({
  mediaId: id,
  status: z.enum(["processing", "ready", "rejected"]),
  reason: rejectionReason.optional().openapi({ description: "Why it was rejected" }),
  detail: z.string().optional().openapi({ description: "The same, in a sentence" }),
  placeholder: z.string().optional().openapi({ description: "A thumbhash in base64" }),
  width: z.int().positive().optional(),
  height: z.int().positive().optional(),
  variants: z.object({ thumbnail: variant, medium: variant, large: variant }).optional(),
}).openapi("Media");

export const account = z.object({
  id,
  handle: z.string(),
  displayName: z.string().openapi({ description: "The handle, where none was given" }),
  bio: z.string(),
  avatar: media.optional(),
}).openapi("Account");

export const profile = account.extend({
  postCount: count,
  followerCount: count,
  followingCount: count,
  viewer: z.object({ following: z.boolean(), blocking: z.boolean() }),
}).openapi("Profile");

export const card = z.object({
  id,
  author: account,
  caption: z.string(),
  createdAt: time,
  likeCount: count,
  commentCount: count,
  media: z.array(media.extend({ altText: z.string().nullable() })),
  viewer: z.object({ liked: z.boolean() }),
}).openapi("Card");

export const comment = z.object({ id, author: account, text: z.string(), createdAt: time })
  .openapi("Comment");

export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().openapi({ description: "Null exactly at the end" }),
  });
