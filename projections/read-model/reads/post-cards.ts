import type { SqlQueries } from "../../../infra/sql/port.ts";
import { accountColumns, type AccountRow } from "./accounts.ts";

/** What everyone sees of a post. */
export interface PostCardRow extends AccountRow {
  readonly post_id: string;
  readonly caption: string | null;
  readonly created_at: Date;
  readonly like_count: number;
  readonly comment_count: number;
  readonly media_ids: readonly string[];
  /** By media id. */
  readonly alt_texts: Readonly<Record<string, string | null>>;
  /** In the order of `media_ids`; null where the medium is not known yet. */
  readonly media_statuses: readonly (string | null)[];
  readonly manifests: readonly (string | null)[];
}

/**
 * Posts with their authors and media, in no order. Left out: deleted ones, and ones whose author is
 * closed or not known yet.
 *
 * Their authors' ids are read first, and come as values, since they lead to the partitions: a join
 * would make the planner take all 32 of them into account, which costs more than a round trip.
 */
export async function postCards(
  sql: SqlQueries,
  postIds: readonly string[],
): Promise<readonly PostCardRow[]> {
  const authors = await sql.query<{ author_id: string }>(
    `SELECT author_id FROM read_model.post_authors WHERE post_id = ANY ($1::uuid[])`,
    [postIds],
  );
  const authorIds = new Set(authors.map((row) => row.author_id));
  if (authorIds.size === 0) return [];
  return await sql.query<PostCardRow>(
    `SELECT post.post_id, post.caption, post.created_at, post.media_ids, post.alt_texts,
       coalesce(like_count, 0) AS like_count,
       coalesce(comment_count, 0) AS comment_count,
       media.statuses AS media_statuses,
       media.manifests,
       ${accountColumns}
     FROM read_model.posts AS post
     JOIN read_model.accounts AS account
       ON account.account_id = post.author_id AND account.handle IS NOT NULL
     LEFT JOIN (
       SELECT post_id, like_count, comment_count FROM read_model.post_counts
       WHERE post_id = ANY ($1::uuid[])
     ) AS counts USING (post_id)
     CROSS JOIN LATERAL (
       SELECT array_agg(status ORDER BY nth) AS statuses, array_agg(manifest ORDER BY nth) AS manifests
       FROM unnest(post.media_ids) WITH ORDINALITY AS shown (media_id, nth)
       LEFT JOIN manifests.media USING (media_id)
     ) AS media
     WHERE post.author_id = ANY ($2::uuid[])
       AND post.post_id = ANY ($1::uuid[])
       AND post.deleted_at IS NULL`,
    [postIds, [...authorIds]],
  );
}
