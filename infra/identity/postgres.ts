import { handleKey } from "../../domain/values.ts";
import type { NewRecord } from "../event-log/port.ts";
import { migrate } from "../sql/migrate.ts";
import type { Sql } from "../sql/port.ts";
import type { Credentials, Identity, NewSession, OutboxRow, Reservation } from "./port.ts";

/** Reservations are kept this long, milliseconds. */
const reservationLifetime = 24 * 60 * 60 * 1000;

/**
 * The identity store in PostgreSQL, in the schema `identity`; always on the primary.
 *
 * Closing an account deletes its key. From the commit on no statement can read it, but its bytes
 * stay in places that an administrator of the server could search, each of which ends it in its own
 * time:
 * - the table's file, until `VACUUM FULL identity.text_keys` has written it anew. A plain VACUUM
 *   frees the row's space and leaves the bytes in it until another row takes it;
 * - the write-ahead log, which bore the key when it was made, until its segments are overwritten;
 * - replicas, which keep both for themselves (a VACUUM FULL reaches them through the log);
 * - archived log and backups of the database, as long as they are kept. A restored one brings back
 *   the keys of accounts that were closed since: the AccountClosed events in the log name them.
 *
 * So text counts as erased for good when the oldest backup and archive from before are gone: keep
 * them no longer than erasure may take.
 *
 * @param sql of the primary, and the store's own from here on: it closes it.
 * @throws {SqlError} when the schema cannot be brought up to date.
 */
export async function openPostgresIdentity(sql: Sql): Promise<Identity> {
  try {
    await migrate(sql, new URL("postgres-migrations/", import.meta.url), "identity");
    return new PostgresIdentity(sql);
  } catch (error) {
    await sql.close();
    throw error;
  }
}

class PostgresIdentity implements Identity {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  async register(account: {
    accountId: string;
    handle: string;
    passwordHash: string;
    record(key: Uint8Array): Promise<NewRecord>;
  }): Promise<"registered" | "handle-taken"> {
    const { accountId, handle, passwordHash } = account;
    const known = await this.#registered(accountId, handle);
    if (known) return known;
    const key = crypto.getRandomValues(new Uint8Array(32));
    const { topic, key: recordKey, value, headers } = await account.record(key);
    const inserted = await this.#sql.query(insertAccount, [
      ...[accountId, handle, handleKey(handle), passwordHash, key],
      ...[topic, recordKey, value, JSON.stringify(headers)],
    ]);
    if (inserted.length > 0) return "registered";
    const taken = await this.#registered(accountId, handle);
    if (taken) return taken;
    throw new Error(`account ${accountId} is registered under another handle`);
  }

  async adopt(account: {
    accountId: string;
    handle: string;
    passwordHash: string;
  }): Promise<"adopted" | "handle-taken"> {
    const { accountId, handle, passwordHash } = account;
    const key = crypto.getRandomValues(new Uint8Array(32));
    const inserted = await this.#sql.query(adoptAccount, [
      accountId,
      handle,
      handleKey(handle),
      passwordHash,
      key,
    ]);
    if (inserted.length > 0) return "adopted";
    const taken = await this.#registered(accountId, handle);
    if (taken) return taken === "registered" ? "adopted" : taken;
    throw new Error(`account ${accountId} is registered under another handle`);
  }

  /** Undefined while nobody has the handle. */
  async #registered(
    accountId: string,
    handle: string,
  ): Promise<"registered" | "handle-taken" | undefined> {
    const holder = await this.credentials({ handle });
    return holder && (holder.accountId === accountId ? "registered" : "handle-taken");
  }

  async credentials(
    by: { handle: string } | { accountId: string },
  ): Promise<Credentials | undefined> {
    const [row] = await this.#sql.query<
      { account_id: string; handle: string; password_hash: string | null }
    >(
      `SELECT account_id, handle, password_hash FROM identity.accounts
       WHERE ${"handle" in by ? "handle_key" : "account_id"} = $1`,
      ["handle" in by ? handleKey(by.handle) : by.accountId],
    );
    return row && {
      accountId: row.account_id,
      handle: row.handle,
      passwordHash: row.password_hash ?? undefined,
      status: row.password_hash === null ? "closed" : "open",
    };
  }

  /**
   * Must be several statements: each takes its own snapshot, so the last sees the session of a
   * `createSession` that the first has waited for.
   */
  async close(accountId: string, record: NewRecord): Promise<void> {
    await this.#sql.transaction(async (transaction) => {
      const closed = await transaction.query(
        `UPDATE identity.accounts SET password_hash = NULL
         WHERE account_id = $1 AND password_hash IS NOT NULL RETURNING account_id`,
        [accountId],
      );
      if (closed.length === 0) return;
      await transaction.query(
        `WITH dropped AS (DELETE FROM identity.text_keys WHERE account_id = $1)
         INSERT INTO identity.outbox (topic, key, value, headers) VALUES ($2, $3, $4, $5)`,
        [accountId, record.topic, record.key, record.value, JSON.stringify(record.headers)],
      );
      await transaction.query("DELETE FROM identity.sessions WHERE account_id = $1", [accountId]);
    });
  }

  async textKeys(accountIds: readonly string[]): Promise<Map<string, Uint8Array>> {
    const rows = await this.#sql.query<{ account_id: string; key: Uint8Array }>(
      "SELECT account_id, key FROM identity.text_keys WHERE account_id = ANY ($1)",
      [accountIds],
    );
    return new Map(rows.map(({ account_id, key }) => [account_id, new Uint8Array(key)]));
  }

  async pendingOutbox(limit: number): Promise<OutboxRow[]> {
    const rows = await this.#sql.query<{ id: number } & NewRecord>(
      "SELECT id, topic, key, value, headers FROM identity.outbox ORDER BY id LIMIT $1",
      [limit],
    );
    return rows.map(({ id, ...record }) => ({ id, record }));
  }

  async removeOutbox(ids: readonly number[]): Promise<void> {
    await this.#sql.query("DELETE FROM identity.outbox WHERE id = ANY ($1::bigint[])", [ids]);
  }

  async createSession(session: NewSession): Promise<"created" | "account-not-open"> {
    const { familyId, accountId, tokenHash, expiresAt } = session;
    const created = await this.#sql.query(insertSession, [
      familyId,
      accountId,
      tokenHash,
      expiresAt,
    ]);
    return created.length > 0 ? "created" : "account-not-open";
  }

  /**
   * The session's row is locked before its tokens are read, as by all that ends it: of two who
   * rotate one token the second sees what the first did, and none waits in a circle.
   */
  async rotateSession(
    tokenHash: string,
    successor: { tokenHash: string; expiresAt: Date },
    now: Date,
  ): ReturnType<Identity["rotateSession"]> {
    await this.#sweepSessions(now);
    return await this.#sql.transaction(async (transaction) => {
      const [session] = await transaction.query<{ family_id: string; account_id: string }>(
        `SELECT family_id, account_id FROM identity.sessions WHERE family_id =
           (SELECT family_id FROM identity.refresh_tokens WHERE token_hash = $1 AND expires_at > $2)
         FOR UPDATE`,
        [tokenHash, now],
      );
      if (!session) return { outcome: "unknown" };
      const { family_id: familyId, account_id: accountId } = session;
      const used = await transaction.query(
        `UPDATE identity.refresh_tokens SET used = true WHERE token_hash = $1 AND NOT used
         RETURNING token_hash`,
        [tokenHash],
      );
      if (used.length === 0) {
        await transaction.query(deleteSession, [familyId]);
        return { outcome: "reused", accountId, familyId };
      }
      await transaction.query(
        `WITH prolonged AS (UPDATE identity.sessions SET expires_at = $3 WHERE family_id = $2)
         INSERT INTO identity.refresh_tokens (token_hash, family_id, expires_at)
         VALUES ($1, $2, $3)`,
        [successor.tokenHash, familyId, successor.expiresAt],
      );
      return { outcome: "rotated", accountId, familyId };
    });
  }

  async revokeSession(familyId: string): Promise<void> {
    await this.#sql.query(deleteSession, [familyId]);
  }

  async sessionStands(familyId: string): Promise<boolean> {
    const rows = await this.#sql.query(
      "SELECT FROM identity.sessions WHERE family_id = $1",
      [familyId],
    );
    return rows.length > 0;
  }

  async reserve(request: {
    scope: string;
    key: string;
    bodyHash: string;
    ids: readonly string[];
    now: Date;
  }): Promise<Reservation> {
    const { scope, key, bodyHash, ids, now } = request;
    const expiresAt = new Date(now.getTime() + reservationLifetime);
    const [row] = await this.#sql.query<
      { body_hash: string; ids: string[]; answer: string | null; attempts: number }
    >(reserve, [scope, key, bodyHash, ids, expiresAt, now]);
    if (!row) throw new Error("a reservation is inserted or updated");
    if (row.body_hash !== bodyHash) return { outcome: "other-body" };
    return {
      outcome: "reserved",
      ids: row.ids,
      retry: row.attempts > 1,
      ...(row.answer !== null && { answer: row.answer }),
    };
  }

  async recordAnswer(scope: string, key: string, answer: string): Promise<void> {
    await this.#sql.query(
      `UPDATE identity.reservations SET answer = $3
       WHERE scope = $1 AND key = $2 AND answer IS NULL`,
      [scope, key, answer],
    );
  }

  async check(): Promise<void> {
    await this.#sql.query("SELECT");
  }

  closeStore(): Promise<void> {
    return this.#sql.close();
  }

  /**
   * Takes away more expired tokens and sessions than a rotation adds, waiting for nobody who would
   * wait for it: each statement is a transaction of its own.
   */
  async #sweepSessions(now: Date): Promise<void> {
    await this.#sql.query(
      `DELETE FROM identity.refresh_tokens WHERE token_hash = ANY (ARRAY(
         SELECT token_hash FROM identity.refresh_tokens WHERE expires_at <= $1
         ORDER BY expires_at LIMIT 8 FOR UPDATE SKIP LOCKED))`,
      [now],
    );
    await this.#sql.query(
      `DELETE FROM identity.sessions WHERE family_id = ANY (ARRAY(
         SELECT family_id FROM identity.sessions WHERE expires_at <= $1
         ORDER BY expires_at LIMIT 8 FOR UPDATE SKIP LOCKED))`,
      [now],
    );
  }
}

/**
 * The account, its key and its outbox row, or nothing when its handle or its id is taken. One that
 * another transaction is about to take is waited for.
 */
const insertAccount = `
  WITH account AS (
    INSERT INTO identity.accounts (account_id, handle, handle_key, password_hash)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
    RETURNING account_id
  ), text_key AS (
    INSERT INTO identity.text_keys (account_id, key) SELECT account_id, $5 FROM account
  )
  INSERT INTO identity.outbox (topic, key, value, headers) SELECT $6, $7, $8, $9::json FROM account
  RETURNING id`;

/** The account and its key, or nothing when its handle or its id is taken. */
const adoptAccount = `
  WITH account AS (
    INSERT INTO identity.accounts (account_id, handle, handle_key, password_hash)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
    RETURNING account_id
  )
  INSERT INTO identity.text_keys (account_id, key) SELECT account_id, $5 FROM account
  RETURNING account_id`;

/** Only while the account is open: the lock waits for a `close` under way and then finds it closed. */
const insertSession = `
  WITH account AS (
    SELECT account_id FROM identity.accounts
    WHERE account_id = $2 AND password_hash IS NOT NULL FOR SHARE
  ), session AS (
    INSERT INTO identity.sessions (family_id, account_id, expires_at)
    SELECT $1, account_id, $4 FROM account
    RETURNING family_id, expires_at
  )
  INSERT INTO identity.refresh_tokens (token_hash, family_id, expires_at)
  SELECT $3, family_id, expires_at FROM session
  RETURNING family_id`;

const deleteSession = "DELETE FROM identity.sessions WHERE family_id = $1";

/**
 * One statement, and so one commit, on the way of every POST. The first to insert the row has it; of
 * those that race it each waits for its commit and then reads it, counting itself. One that has
 * expired begins anew.
 *
 * It also takes away more expired rows than it adds, passing over those that another is taking away,
 * and over its own, which one statement must not change twice.
 */
const reserve = `
  WITH swept AS (
    DELETE FROM identity.reservations WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM identity.reservations
      WHERE expires_at <= $6 AND (scope, key) <> ($1, $2)
      ORDER BY expires_at LIMIT 8 FOR UPDATE SKIP LOCKED))
  )
  INSERT INTO identity.reservations AS r (scope, key, body_hash, ids, expires_at)
  VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (scope, key) DO UPDATE SET
    (body_hash, ids, answer, attempts, expires_at) = (
      SELECT excluded.body_hash, excluded.ids, NULL, 1, excluded.expires_at
      WHERE r.expires_at <= $6
      UNION ALL
      SELECT r.body_hash, r.ids, r.answer, r.attempts + 1, r.expires_at
      WHERE r.expires_at > $6)
  RETURNING body_hash, ids, answer, attempts`;
