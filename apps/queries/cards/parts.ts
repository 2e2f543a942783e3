import { tagged } from "../../../infra/http/etag.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";
import { keyOf } from "../../../projections/cards/keys.ts";
import { accountsById } from "../../../projections/read-model/reads/accounts.ts";
import { manifestsById } from "../../../projections/read-model/reads/media.ts";
import { type PostRow, postsById } from "../../../projections/read-model/reads/posts-by-id.ts";
import { encodeCursor } from "../page-query.ts";
import { accountJson, type Card, unliked } from "./card.ts";

/**
 * What cards are put together from: posts, their authors, their media. Each changes by itself, and is
 * kept, as text, under a key of its own.
 */
export interface Part<Value> {
  key(id: string): string;
  /** From the database: those that there are. */
  load(sql: SqlQueries, ids: readonly string[]): Promise<ReadonlyMap<string, Value>>;
}

/** Where parts are read from. */
export interface Parts {
  /** Those that there are, by id. */
  get<Value>(part: Part<Value>, ids: readonly string[]): Promise<ReadonlyMap<string, Value>>;
}

/** A post that stands, but for its author and its media's manifests. */
export interface Post {
  readonly authorId: string;
  readonly mediaIds: readonly string[];
  /** In the order of `mediaIds`. */
  readonly altTexts: readonly (string | null)[];
  /** The JSON text of a card between its author and its media. */
  readonly json: string;
}

export const posts: Part<Post> = {
  key: keyOf.post,
  load: async (sql, ids) =>
    new Map((await postsById(sql, ids)).map((row) => [row.post_id, postOf(row)])),
};

/** Accounts as JSON text; none of one that is closed or not known yet. */
export const accounts: Part<string> = {
  key: keyOf.account,
  load: async (sql, ids) =>
    new Map((await accountsById(sql, ids)).map((row) => [row.account_id, accountJson(row)])),
};

export interface Medium {
  readonly status: string;
  /** JSON text. */
  readonly manifest: string;
}

export const media: Part<Medium> = {
  key: keyOf.medium,
  load: async (sql, ids) =>
    new Map((await manifestsById(sql, ids)).map((
      { media_id, status, manifest },
    ) => [media_id, { status, manifest }])),
};

function postOf(row: PostRow): Post {
  return {
    authorId: row.author_id,
    mediaIds: row.media_ids,
    altTexts: row.media_ids.map((mediaId) => row.alt_texts[mediaId] ?? null),
    json: `,"caption":${JSON.stringify(row.caption ?? "")},` +
      `"createdAt":"${row.created_at.toISOString()}",` +
      `"likeCount":${row.like_count},"commentCount":${row.comment_count},"media":[`,
  };
}

/** Undefined without a post or an author: then there is nothing to be shown. */
export function cardOf(
  postId: string,
  post: Post | undefined,
  author: string | undefined,
  medium: (mediaId: string) => Medium | undefined,
): Card | undefined {
  if (post === undefined || author === undefined) return undefined;
  const shown: string[] = [];
  let hasMedia = false;
  for (const [nth, mediaId] of post.mediaIds.entries()) {
    const { status, manifest } = medium(mediaId) ?? unknown(mediaId);
    if (status === "purged") continue;
    hasMedia ||= status !== "rejected";
    const altText = JSON.stringify(post.altTexts[nth] ?? null);
    shown.push(`${manifest.slice(0, -1)},"altText":${altText}}`);
  }
  const { json: item, tag } = tagged(
    `,{"id":"${postId}","author":${author}${post.json}${shown.join(",")}],"viewer":${unliked}}`,
  );
  const cursorJson = JSON.stringify(encodeCursor(postId));
  return { authorId: post.authorId, hasMedia, item, tag, cursorJson };
}

/** A medium whose upload the manifests have not heard of yet. */
function unknown(mediaId: string): Medium {
  return { status: "processing", manifest: JSON.stringify({ mediaId, status: "processing" }) };
}
