import type { SqlQueries } from "../../../infra/sql/port.ts";
import { newest } from "./keyset.ts";

/**
 * Everyone who follows an account, in pages. One who begins to follow while they are read may be
 * missed: whoever needs them all hears of it by AccountFollowed.
 */
export async function* followerPages(
  sql: SqlQueries,
  accountId: string,
  pageSize: number,
): AsyncGenerator<string[]> {
  let before = newest;
  for (;;) {
    const rows = await sql.query<{ follower_id: string; follow_id: string }>(
      `SELECT follower_id, follow_id FROM read_model.follows
       WHERE followee_id = $1 AND follow_id < $2
       ORDER BY follow_id DESC
       LIMIT $3`,
      [accountId, before, pageSize],
    );
    const last = rows.at(-1);
    if (!last) return;
    yield rows.map((row) => row.follower_id);
    if (rows.length < pageSize) return;
    before = last.follow_id;
  }
}
