import type { SqlQueries } from "../../../infra/sql/port.ts";

/**
 * Some of those who follow an account, by the ids of their follows, below `before`; and the last of
 * these ids where there may be more. One who begins to follow between two pages may be missed:
 * whoever needs them all hears of it by AccountFollowed.
 */
export async function followersBelow(
  sql: SqlQueries,
  accountId: string,
  before: string,
  limit: number,
): Promise<{ followerIds: string[]; last: string | undefined }> {
  const rows = await sql.query<{ follower_id: string; follow_id: string }>(
    `SELECT follower_id, follow_id FROM read_model.follows
     WHERE followee_id = $1 AND follow_id < $2
     ORDER BY follow_id DESC
     LIMIT $3`,
    [accountId, before, limit],
  );
  return {
    followerIds: rows.map((row) => row.follower_id),
    last: rows.length < limit ? undefined : rows.at(-1)?.follow_id,
  };
}
