import type { SqlQueries } from "../../../infra/sql/port.ts";
import { accountColumns, type AccountRow } from "./accounts.ts";
import { unblocked } from "./keyset.ts";

/**
 * Those of the posts that the viewer likes.
 *
 * One index probe a post, planned once: with the posts in WHERE it would be planned anew each time,
 * for as many partitions as they lie in, which takes longer than the looking.
 */
export async function likedAmong(
  sql: SqlQueries,
  viewerId: string,
  postIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await sql.query<{ post_id: string }>(
    `SELECT key.post_id FROM unnest($2::uuid[]) AS key (post_id)
     WHERE (
       SELECT true FROM read_model.likes
       WHERE likes.post_id = key.post_id AND likes.account_id = $1 LIMIT 1
     )`,
    [viewerId, postIds],
  );
  return new Set(rows.map((row) => row.post_id));
}

/** Who likes a post, the newest like first, below the like `before`; as the viewer may see it. */
export async function likersOf(
  sql: SqlQueries,
  postId: string,
  viewerId: string | undefined,
  before: string,
  limit: number,
): Promise<readonly (AccountRow & { readonly id: string })[]> {
  return await sql.query(
    `SELECT liked.like_id AS id, ${accountColumns}
     FROM read_model.likes AS liked
     JOIN read_model.accounts AS account USING (account_id)
     WHERE liked.post_id = $1 AND liked.like_id < $3
       AND account.handle IS NOT NULL
       AND ${unblocked("account.account_id", "$2::uuid")}
     ORDER BY liked.like_id DESC
     LIMIT $4`,
    [postId, viewerId ?? null, before, limit],
  );
}
