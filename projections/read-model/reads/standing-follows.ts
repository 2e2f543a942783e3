import type { SqlQueries } from "../../../infra/sql/port.ts";

/** Which of these follows stand: those of the pairs whose follower follows the followee. */
export async function standingFollows<
  Pair extends { readonly followerId: string; readonly followeeId: string },
>(sql: SqlQueries, pairs: readonly Pair[]): Promise<readonly Pair[]> {
  const rows = await sql.query<{ nth: number }>(
    `SELECT nth
     FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS pair (follower_id, followee_id, nth)
     JOIN read_model.follows USING (follower_id, followee_id)`,
    [pairs.map((pair) => pair.followerId), pairs.map((pair) => pair.followeeId)],
  );
  const standing = new Set(rows.map((row) => row.nth - 1));
  return pairs.filter((_, index) => standing.has(index));
}
