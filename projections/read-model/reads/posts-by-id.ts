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
 * Those of the posts that stand, in no order.
 *
 * For each, one index probe of three tables, planned once. With the ids in WHERE, each call would be
 * planned anew for all the partitions they lie in, and every one of these be probed for every id:
 * 4.4 ms for 20 posts where this takes 0.8.
 */
export async function postsById(
  sql: SqlQueries,
  postIds: readonly string[],
): Promise<readonly PostRow[]> {
  if (postIds.length === 0) return [];
  return await sql.query<PostRow>(
    `SELECT post.*, coalesce(like_count, 0) AS like_count, coalesce(comment_count, 0) AS comment_count
     FROM unnest($1::uuid[]) AS key (post_id)
     CROSS JOIN LATERAL (
       SELECT author_id FROM read_model.post_authors
       WHERE post_authors.post_id = key.post_id LIMIT 1
     ) AS origin
     CROSS JOIN LATERAL (
       SELECT post_id, author_id, caption, created_at, media_ids, alt_texts FROM read_model.posts
       WHERE posts.author_id = origin.author_id AND posts.post_id = key.post_id
         AND posts.deleted_at IS NULL
       LIMIT 1
     ) AS post
     LEFT JOIN LATERAL (
       SELECT like_count, comment_count FROM read_model.post_counts
       WHERE post_counts.post_id = key.post_id LIMIT 1
     ) AS counts ON true`,
    [postIds],
  );
}
