import type { PostEvent } from "../../domain/post.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { KeyMemory } from "../runner/key-memory.ts";
import type { Counts } from "./counts.ts";
import type { SeenEvents } from "./seen-events.ts";

interface PostRow {
  readonly author_id: string;
  readonly post_id: string;
  readonly media_ids: readonly string[];
  readonly caption: string | null;
  readonly alt_texts: Readonly<Record<string, string | null>>;
  /** Times as text, so that a row is written back exactly as it was read. */
  readonly created_at: string;
  readonly deleted_at: string | null;
}

/** A post's other events come after its creation, being of the same key: without it they are void. */
export async function applyPosts(
  events: readonly PostEvent[],
  transaction: SqlTransaction,
  seen: SeenEvents,
  counts: Counts,
  memory?: KeyMemory,
): Promise<void> {
  if (events.length === 0) return;
  const due = memory ? events.filter(({ data }) => memory.recall(data.postId)) : events;
  const rows = due.length === 0 ? [] : await load(transaction, due);
  const posts = new Map(rows.map((row) => [row.post_id, row]));
  const loaded = new Set(posts.keys());
  const changed = new Map<string, PostRow>();
  const put = (post: PostRow) => {
    posts.set(post.post_id, post);
    changed.set(post.post_id, post);
  };
  for (const event of events) {
    const { postId, authorId } = event.data;
    const post = posts.get(postId);
    switch (event.type) {
      case "PostCreated":
        if (post) break;
        put({
          author_id: authorId,
          post_id: postId,
          media_ids: event.data.mediaIds,
          caption: event.data.caption,
          alt_texts: event.data.altTexts,
          created_at: event.time,
          deleted_at: null,
        });
        counts.accounts.add(authorId, "post_count", 1);
        break;
      case "CaptionChanged":
        if (!post || post.deleted_at !== null || seen.has(event.id)) break;
        seen.add(event.id);
        put({ ...post, caption: event.data.caption });
        break;
      case "PostDeleted":
        if (!post || post.deleted_at !== null) break;
        put({ ...post, caption: null, alt_texts: {}, deleted_at: event.time });
        counts.accounts.add(post.author_id, "post_count", -1);
        break;
    }
  }
  const { fresh = [], known = [] } = Object.groupBy(
    changed.values(),
    (row) => memory && !loaded.has(row.post_id) ? "fresh" : "known",
  );
  if (known.length > 0) await save(transaction, known);
  if (fresh.length > 0) await copy(transaction, fresh);
}

/** One index probe per post: see `applyMemberships`. */
async function load(
  transaction: SqlTransaction,
  events: readonly PostEvent[],
): Promise<PostRow[]> {
  return await transaction.query<PostRow>(
    `SELECT post.*
     FROM unnest($1::uuid[], $2::uuid[]) AS key (author_id, post_id)
     CROSS JOIN LATERAL (
       SELECT author_id, post_id, media_ids, caption, alt_texts, created_at::text, deleted_at::text
       FROM read_model.posts AS p
       WHERE p.author_id = key.author_id AND p.post_id = key.post_id LIMIT 1
     ) AS post`,
    [events.map(({ data }) => data.authorId), events.map(({ data }) => data.postId)],
  );
}

/** Rows that are not there. */
async function copy(transaction: SqlTransaction, rows: readonly PostRow[]): Promise<void> {
  await transaction.copy(
    "read_model.posts",
    ["author_id", "post_id", "media_ids", "caption", "alt_texts", "created_at", "deleted_at"],
    rows.map((row) => [
      row.author_id,
      row.post_id,
      `{${row.media_ids.join(",")}}`,
      row.caption,
      JSON.stringify(row.alt_texts),
      row.created_at,
      row.deleted_at,
    ]),
  );
  await transaction.copy(
    "read_model.post_authors",
    ["post_id", "author_id"],
    rows.map((row) => [row.post_id, row.author_id]),
  );
}

async function save(transaction: SqlTransaction, rows: readonly PostRow[]): Promise<void> {
  await transaction.query(
    `INSERT INTO read_model.posts
       (author_id, post_id, media_ids, caption, alt_texts, created_at, deleted_at)
     SELECT * FROM json_to_recordset($1::json) AS r (author_id uuid, post_id uuid, media_ids uuid[],
       caption text, alt_texts jsonb, created_at timestamptz, deleted_at timestamptz)
     ON CONFLICT (author_id, post_id) DO UPDATE SET
       caption = excluded.caption,
       alt_texts = excluded.alt_texts,
       deleted_at = excluded.deleted_at`,
    [JSON.stringify(rows)],
  );
  await transaction.query(
    `INSERT INTO read_model.post_authors (post_id, author_id)
     SELECT * FROM unnest($1::uuid[], $2::uuid[])
     ON CONFLICT DO NOTHING`,
    [rows.map((row) => row.post_id), rows.map((row) => row.author_id)],
  );
}
