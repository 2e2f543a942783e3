import type { SqlQueries } from "../../../infra/sql/port.ts";
import type { PostOrigin } from "./posts-by-id.ts";

/**
 * Posts of the accounts a reader follows, newest first: at most `limit` of them below `before`, each
 * with what never changes of it, so that whoever shows them need not look for that again.
 *
 * What is left out is gone for good: deleted posts, closed authors. What may come back (a block
 * that is lifted, an author or a medium whose events have not arrived yet) stays in, for feeds are
 * cached by these ids, and is left to the rules that are applied to every page as it is shown.
 *
 * Each followee's newest posts are read from the one partition they lie in, at most `limit` of each.
 */
export async function feedPage(
  sql: SqlQueries,
  readerId: string,
  before: string,
  limit: number,
): Promise<readonly PostOrigin[]> {
  return await sql.query<PostOrigin>(
    `SELECT post.post_id, post.author_id, post.media_ids
     FROM read_model.follows AS follow
     CROSS JOIN LATERAL (
       SELECT post_id, author_id, media_ids FROM read_model.posts
       WHERE author_id = follow.followee_id AND post_id < $2 AND deleted_at IS NULL
       ORDER BY post_id DESC
       LIMIT $3
     ) AS post
     WHERE follow.follower_id = $1
       AND NOT EXISTS (
         SELECT FROM read_model.accounts
         WHERE account_id = follow.followee_id AND closed_at IS NOT NULL
       )
     ORDER BY post.post_id DESC
     LIMIT $3`,
    [readerId, before, limit],
  );
}
