import type { SqlQueries } from "../../../infra/sql/port.ts";
import { accountColumns, type AccountRow } from "./accounts.ts";
import { unblocked } from "./keyset.ts";

type FollowRow = AccountRow & { readonly id: string };

/** Who follows an account, the newest follow first, below the follow `before`. */
export async function followersOf(
  sql: SqlQueries,
  accountId: string,
  viewerId: string | undefined,
  before: string,
  limit: number,
): Promise<readonly FollowRow[]> {
  return await sql.query<FollowRow>(
    `SELECT follow.follow_id AS id, ${accountColumns}
     FROM read_model.follows AS follow
     JOIN read_model.accounts AS account ON account.account_id = follow.follower_id
     WHERE follow.followee_id = $1 AND follow.follow_id < $3
       AND account.handle IS NOT NULL
       AND ${unblocked("account.account_id", "$2::uuid")}
     ORDER BY follow.follow_id DESC
     LIMIT $4`,
    [accountId, viewerId ?? null, before, limit],
  );
}
