import type { AccountEvent } from "../../domain/account.ts";
import { handleKey } from "../../domain/values.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { SeenEvents } from "./seen-events.ts";

interface AccountRow {
  account_id: string;
  handle: string | null;
  handle_key: string | null;
  display_name: string | null;
  bio: string | null;
  avatar_media_id: string | null;
  /** Times as text, so that a row is written back exactly as it was read. */
  registered_at: string | null;
  closed_at: string | null;
}

export async function applyAccounts(
  events: readonly AccountEvent[],
  transaction: SqlTransaction,
  seen: SeenEvents,
): Promise<void> {
  if (events.length === 0) return;
  const rows = await load(transaction, events.map(({ data }) => data.accountId));
  const accounts = new Map(rows.map((row) => [row.account_id, row]));
  const changed = new Map<string, AccountRow>();
  for (const event of events) {
    const { accountId } = event.data;
    const before = accounts.get(accountId) ?? unknown(accountId);
    const after = evolve(before, event, seen);
    if (after === before) continue;
    accounts.set(accountId, after);
    changed.set(accountId, after);
  }
  if (changed.size > 0) await save(transaction, [...changed.values()]);
}

function unknown(account_id: string): AccountRow {
  return {
    account_id,
    handle: null,
    handle_key: null,
    display_name: null,
    bio: null,
    avatar_media_id: null,
    registered_at: null,
    closed_at: null,
  };
}

function evolve(row: AccountRow, event: AccountEvent, seen: SeenEvents): AccountRow {
  switch (event.type) {
    case "AccountRegistered": {
      if (row.registered_at !== null) return row;
      if (row.closed_at !== null) return { ...row, registered_at: event.time };
      const { handle, displayName } = event.data;
      return {
        ...row,
        handle,
        handle_key: handle === null ? null : handleKey(handle),
        // Said by a ProfileChanged that overtook the registration.
        display_name: row.display_name ?? displayName ?? null,
        registered_at: event.time,
      };
    }
    case "ProfileChanged": {
      if (row.closed_at !== null || seen.has(event.id)) return row;
      seen.add(event.id);
      const { displayName, bio, avatarMediaId } = event.data;
      return {
        ...row,
        ...(displayName !== undefined && { display_name: displayName }),
        ...(bio !== undefined && { bio }),
        ...(avatarMediaId !== undefined && { avatar_media_id: avatarMediaId }),
      };
    }
    case "AccountClosed": {
      if (row.closed_at !== null) return row;
      const { account_id, registered_at } = row;
      return { ...unknown(account_id), registered_at, closed_at: event.time };
    }
  }
}

async function load(transaction: SqlTransaction, ids: readonly string[]): Promise<AccountRow[]> {
  return await transaction.query<AccountRow>(
    `SELECT account_id, handle, handle_key, display_name, bio, avatar_media_id,
            registered_at::text, closed_at::text
     FROM read_model.accounts WHERE account_id = ANY ($1::uuid[])`,
    [ids],
  );
}

async function save(transaction: SqlTransaction, rows: readonly AccountRow[]): Promise<void> {
  await transaction.query(
    `INSERT INTO read_model.accounts (account_id, handle, handle_key, display_name, bio,
       avatar_media_id, registered_at, closed_at)
     SELECT * FROM json_to_recordset($1::json) AS r (account_id uuid, handle text, handle_key text,
       display_name text, bio text, avatar_media_id uuid, registered_at timestamptz,
       closed_at timestamptz)
     ON CONFLICT (account_id) DO UPDATE SET
       handle = excluded.handle,
       handle_key = excluded.handle_key,
       display_name = excluded.display_name,
       bio = excluded.bio,
       avatar_media_id = excluded.avatar_media_id,
       registered_at = excluded.registered_at,
       closed_at = excluded.closed_at`,
    [JSON.stringify(rows)],
  );
}
