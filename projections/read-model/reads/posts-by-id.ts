import type { SqlQueries } from "../../../infra/sql/port.ts";

/** What never changes of a post, and tells where the rest of what is shown of it is. */
export interface PostOrigin {
  readonly post_id: string;
  readonly author_id: string;
  readonly media_ids: readonly string[];
}

/** What is a post's own of what everyone sees of it. */
export interface PostRow extends PostOrigin {
  readonly caption: string | null;
  readonly created_at: Date;
  readonly like_count: number;
  readonly comment_count: number;
  /** By media id. */
  readonly alt_texts: Readonly<Record<string, string | null>>;
}

/**
 * Those of the posts that stand, in no order; `authorIds` are those of all their authors.
 *
 * Unless they are given, authors' ids are read first, and come as values, since they lead to the
 * partitions: a join would make the planner take all 32 of them into account, which costs more than a
 * round trip.
 */
export async function postsById(
  sql: SqlQueries,
  postIds: readonly string[],
  authorIds?: readonly string[],
): Promise<readonly PostRow[]> {
  const authors = authorIds ?? await authorsOf(sql, postIds);
  if (authors.length === 0) return [];
  return await sql.query<PostRow>(
    `SELECT post.post_id, post.author_id, post.caption, post.created_at, post.media_ids,
       post.alt_texts,
       coalesce(like_count, 0) AS like_count,
       coalesce(comment_count, 0) AS comment_count
     FROM read_model.posts AS post
     LEFT JOIN (
       SELECT post_id, like_count, comment_count FROM read_model.post_counts
       WHERE post_id = ANY ($1::uuid[])
     ) AS counts USING (post_id)
     WHERE post.author_id = ANY ($2::uuid[])
       AND post.post_id = ANY ($1::uuid[])
       AND post.deleted_at IS NULL`,
    [postIds, authors],
  );
}

async function authorsOf(sql: SqlQueries, postIds: readonly string[]): Promise<string[]> {
  const rows = await sql.query<{ author_id: string }>(
    `SELECT author_id FROM read_model.post_authors WHERE post_id = ANY ($1::uuid[])`,
    [postIds],
  );
  return [...new Set(rows.map((row) => row.author_id))];
}
