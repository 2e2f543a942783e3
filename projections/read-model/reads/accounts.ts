import { handleKey } from "../../../domain/values.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";

/**
 * An account as every answer shows it. One whose handle is null is shown by none: it is closed, or
 * its registration has not arrived yet.
 */
export interface AccountRow {
  readonly account_id: string;
  readonly handle: string;
  readonly display_name: string | null;
  readonly bio: string | null;
  /** The manifest of its avatar, once that is ready. */
  readonly avatar: string | null;
}

/** The columns of an `AccountRow`, of a table or alias named `account`. */
export const accountColumns =
  `account.account_id, account.handle, account.display_name, account.bio,
       (
         SELECT manifest FROM manifests.media
         WHERE media_id = account.avatar_media_id AND status = 'ready'
       ) AS avatar`;

export interface ProfileRow extends AccountRow {
  readonly post_count: number;
  readonly follower_count: number;
  readonly following_count: number;
}

/** Undefined when nobody open is known by this id. */
export async function accountById(
  sql: SqlQueries,
  accountId: string,
): Promise<ProfileRow | undefined> {
  const [row] = await sql.query<ProfileRow>(
    `SELECT ${accountColumns},
       coalesce(post_count, 0) AS post_count,
       coalesce(follower_count, 0) AS follower_count,
       coalesce(following_count, 0) AS following_count
     FROM read_model.accounts AS account
     LEFT JOIN read_model.account_counts USING (account_id)
     WHERE account.account_id = $1 AND account.handle IS NOT NULL`,
    [accountId],
  );
  return row;
}

/** Those of the accounts that are open and known, in no order. */
export async function accountsById(
  sql: SqlQueries,
  accountIds: readonly string[],
): Promise<readonly AccountRow[]> {
  return await sql.query<AccountRow>(
    `SELECT ${accountColumns} FROM read_model.accounts AS account
     WHERE account.account_id = ANY ($1::uuid[]) AND account.handle IS NOT NULL`,
    [accountIds],
  );
}

/** By a handle in whatever case; undefined when nobody open has it. */
export async function accountIdByHandle(
  sql: SqlQueries,
  handle: string,
): Promise<string | undefined> {
  const [row] = await sql.query<{ account_id: string }>(
    `SELECT account_id FROM read_model.accounts WHERE handle_key = $1`,
    [handleKey(handle)],
  );
  return row?.account_id;
}

/** Those of the accounts that are closed. */
export async function closedAmong(
  sql: SqlQueries,
  accountIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await sql.query<{ account_id: string }>(
    `SELECT account_id FROM read_model.accounts
     WHERE account_id = ANY ($1::uuid[]) AND closed_at IS NOT NULL`,
    [accountIds],
  );
  return new Set(rows.map((row) => row.account_id));
}
