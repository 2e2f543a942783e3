import type { SqlQueries } from "../../../infra/sql/port.ts";

/** The posts of each account that stand, newest first: at most `limit` ids of each, below `before`. */
export async function postsOfAccounts(
  sql: SqlQueries,
  accountIds: readonly string[],
  before: string,
  limit: number,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await sql.query<{ account_id: string; post_ids: string[] }>(
    `SELECT account_id, ARRAY(
       SELECT post_id FROM read_model.posts
       WHERE author_id = account_id AND post_id < $2 AND deleted_at IS NULL
       ORDER BY post_id DESC
       LIMIT $3
     ) AS post_ids
     FROM unnest($1::uuid[]) AS account (account_id)`,
    [accountIds, before, limit],
  );
  return new Map(rows.map((row) => [row.account_id, row.post_ids]));
}
