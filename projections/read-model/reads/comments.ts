import type { SqlQueries } from "../../../infra/sql/port.ts";
import { accountColumns, type AccountRow } from "./accounts.ts";
import { unblocked } from "./keyset.ts";

export interface CommentRow extends AccountRow {
  readonly id: string;
  readonly body: string | null;
  readonly created_at: Date;
}

/** A post's comments that stand, newest first, below the comment `before`; as the viewer may see them. */
export async function commentsOf(
  sql: SqlQueries,
  postId: string,
  viewerId: string | undefined,
  before: string,
  limit: number,
): Promise<readonly CommentRow[]> {
  return await sql.query<CommentRow>(
    `SELECT comment.comment_id AS id, comment.body, comment.created_at, ${accountColumns}
     FROM read_model.comments AS comment
     JOIN read_model.accounts AS account ON account.account_id = comment.author_id
     WHERE comment.post_id = $1 AND comment.comment_id < $3
       AND comment.deleted_at IS NULL
       AND account.handle IS NOT NULL
       AND ${unblocked("account.account_id", "$2::uuid")}
     ORDER BY comment.comment_id DESC
     LIMIT $4`,
    [postId, viewerId ?? null, before, limit],
  );
}
