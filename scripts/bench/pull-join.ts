import type { SqlQueries } from "../../infra/sql/port.ts";

/**
 * A feed the way Bluesky's AppView reads it
 * (https://github.com/bluesky-social/atproto, `bsky/src/data-plane/server/routes/feeds.ts`): nothing
 * is kept for a reader; follows and posts are joined whenever somebody reads, and then what is to be
 * shown of the posts is.
 */
export async function pullJoin(sql: SqlQueries, readerId: string, limit: number): Promise<number> {
  const posts = await sql.query<{ post_id: string }>(
    `SELECT post.post_id
     FROM read_model.follows AS follow
     JOIN read_model.posts AS post ON post.author_id = follow.followee_id
     WHERE follow.follower_id = $1 AND post.deleted_at IS NULL
     ORDER BY post.post_id DESC
     LIMIT $2`,
    [readerId, limit],
  );
  const cards = await sql.query(
    `SELECT post.post_id, post.caption, post.created_at, post.alt_texts,
       account.account_id, account.handle, account.display_name, account.bio,
       coalesce(like_count, 0) AS like_count, coalesce(comment_count, 0) AS comment_count,
       (SELECT array_agg(manifest) FROM manifests.media WHERE media_id = ANY (post.media_ids))
         AS manifests,
       EXISTS (
         SELECT FROM read_model.likes WHERE likes.post_id = post.post_id AND account_id = $2
       ) AS liked
     FROM read_model.post_authors
     JOIN read_model.posts AS post USING (author_id, post_id)
     JOIN read_model.accounts AS account ON account.account_id = post.author_id
     LEFT JOIN read_model.post_counts AS counts ON counts.post_id = post.post_id
     WHERE post_authors.post_id = ANY ($1::uuid[])`,
    [posts.map((row) => row.post_id), readerId],
  );
  return JSON.stringify(cards).length;
}
