import { dirname } from "node:path";
import { handleKey } from "../../domain/values.ts";
import type { NewRecord } from "../event-log/port.ts";
import type { Credentials, Identity, NewSession, OutboxRow, Reservation } from "./port.ts";
import { SqliteConnection } from "./sqlite-connection.ts";

const migrations = ["000001.sql"];

/** Reservations are kept this long, milliseconds. */
const reservationLifetime = 24 * 60 * 60 * 1000;

/**
 * The identity store in one SQLite file, which several processes may have open.
 *
 * @param options.path the file; its folder is created. Readable by its owner alone, and so are
 * `-wal` and `-shm` beside it. It holds the keys: a copy of it brings closed accounts' text back.
 */
export async function openSqliteIdentity(options: { path: string }): Promise<Identity> {
  await Deno.mkdir(dirname(options.path), { recursive: true });
  (await Deno.open(options.path, { create: true, write: true, mode: 0o600 })).close();
  const scripts = migrations.map((name) =>
    Deno.readTextFile(new URL(`./sqlite-migrations/${name}`, import.meta.url))
  );
  return new SqliteIdentity(await SqliteConnection.open(options.path, await Promise.all(scripts)));
}

/** What readers of the log need of the store: keys, and the closings that are still on their way. */
export type TextKeys = Pick<Identity, "textKeys" | "pendingOutbox" | "closeStore">;

/** The store of another process, or of none: nothing is created, locked or written. */
export function readSqliteIdentity(options: { path: string }): TextKeys {
  return new SqliteIdentity(SqliteConnection.openToRead(options.path));
}

class SqliteIdentity implements Identity {
  readonly #connection: SqliteConnection;
  readonly #sql: ReturnType<typeof prepare>;

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
    this.#sql = prepare(connection);
  }

  async register(account: {
    accountId: string;
    handle: string;
    passwordHash: string;
    record(key: Uint8Array): Promise<NewRecord>;
  }): Promise<"registered" | "handle-taken"> {
    const { accountId, handle, passwordHash } = account;
    const holder = () => {
      const row = this.#sql.accountByHandle.get(handleKey(handle));
      return row && (row.account_id === accountId ? "registered" : "handle-taken");
    };
    const known = await this.#connection.read(holder);
    if (known) return known;
    const key = crypto.getRandomValues(new Uint8Array(32));
    const record = await account.record(key);
    return this.#connection.write(() => {
      const taken = holder();
      if (taken) return taken;
      this.#sql.insertAccount.run(accountId, handle, handleKey(handle), passwordHash);
      this.#sql.insertTextKey.run(accountId, key);
      this.#insertOutbox(record);
      return "registered";
    });
  }

  async adopt(account: {
    accountId: string;
    handle: string;
    passwordHash: string;
  }): Promise<"adopted" | "handle-taken"> {
    const { accountId, handle, passwordHash } = account;
    const key = crypto.getRandomValues(new Uint8Array(32));
    return await this.#connection.write(() => {
      const holder = this.#sql.accountByHandle.get(handleKey(handle));
      if (holder) return holder.account_id === accountId ? "adopted" : "handle-taken";
      this.#sql.insertAccount.run(accountId, handle, handleKey(handle), passwordHash);
      this.#sql.insertTextKey.run(accountId, key);
      return "adopted";
    });
  }

  async credentials(
    by: { handle: string } | { accountId: string },
  ): Promise<Credentials | undefined> {
    const row = await this.#connection.read(() =>
      "handle" in by
        ? this.#sql.accountByHandle.get(handleKey(by.handle))
        : this.#sql.accountById.get(by.accountId)
    ) as AccountRow | undefined;
    return row && {
      accountId: row.account_id,
      handle: row.handle,
      passwordHash: row.password_hash ?? undefined,
      status: row.password_hash === null ? "closed" : "open",
    };
  }

  async close(accountId: string, record: NewRecord): Promise<void> {
    const closed = await this.#connection.write(() => {
      if (this.#sql.closeAccount.run(accountId).changes === 0) return false;
      this.#sql.deleteTextKey.run(accountId);
      this.#sql.deleteSessionsOfAccount.run(accountId);
      this.#insertOutbox(record);
      return true;
    });
    // The write-ahead log may still hold the page that the key was on.
    if (closed) this.#connection.checkpoint();
  }

  async textKeys(accountIds: readonly string[]): Promise<Map<string, Uint8Array>> {
    const keys = new Map<string, Uint8Array>();
    await this.#connection.read(() => {
      for (const accountId of accountIds) {
        const row = this.#sql.textKey.get(accountId) as { key: Uint8Array } | undefined;
        if (row) keys.set(accountId, row.key);
      }
    });
    return keys;
  }

  async pendingOutbox(limit: number): Promise<OutboxRow[]> {
    const rows = await this.#connection.read(() => this.#sql.outbox.all(limit)) as {
      id: number;
      topic: string;
      key: string;
      value: string;
      headers: string;
    }[];
    return rows.map(({ id, headers, ...record }) => ({
      id,
      record: { ...record, headers: JSON.parse(headers) },
    }));
  }

  async removeOutbox(ids: readonly number[]): Promise<void> {
    await this.#connection.write(() => {
      for (const id of ids) this.#sql.deleteOutbox.run(id);
    });
  }

  createSession(session: NewSession): Promise<"created" | "account-not-open"> {
    const { familyId, accountId, tokenHash } = session;
    const expiresAt = session.expiresAt.getTime();
    return this.#connection.write(() => {
      const { changes } = this.#sql.insertSession.run(familyId, expiresAt, accountId);
      if (changes === 0) return "account-not-open";
      this.#sql.insertRefreshToken.run(tokenHash, familyId, expiresAt);
      return "created";
    });
  }

  rotateSession(
    tokenHash: string,
    successor: { tokenHash: string; expiresAt: Date },
    now: Date,
  ): ReturnType<Identity["rotateSession"]> {
    const expiresAt = successor.expiresAt.getTime();
    return this.#connection.write(() => {
      this.#sweep(now);
      const token = this.#sql.refreshToken.get(tokenHash, now.getTime()) as
        | { family_id: string; account_id: string }
        | undefined;
      if (!token) return { outcome: "unknown" };
      const { family_id: familyId, account_id: accountId } = token;
      if (this.#sql.useRefreshToken.run(tokenHash).changes === 0) {
        this.#sql.deleteSession.run(familyId);
        return { outcome: "reused", accountId, familyId };
      }
      this.#sql.insertRefreshToken.run(successor.tokenHash, familyId, expiresAt);
      this.#sql.prolongSession.run(expiresAt, familyId);
      return { outcome: "rotated", accountId, familyId };
    });
  }

  async revokeSession(familyId: string): Promise<void> {
    await this.#connection.write(() => this.#sql.deleteSession.run(familyId));
  }

  async sessionStands(familyId: string): Promise<boolean> {
    return await this.#connection.read(() => this.#sql.session.get(familyId)) !== undefined;
  }

  reserve(request: {
    scope: string;
    key: string;
    bodyHash: string;
    ids: readonly string[];
    now: Date;
  }): Promise<Reservation> {
    const { scope, key, bodyHash, ids, now } = request;
    const expiresAt = now.getTime() + reservationLifetime;
    return this.#connection.write(() => {
      this.#sql.deleteExpiredReservation.run(scope, key, now.getTime());
      this.#sweep(now);
      const { changes } = this.#sql.insertReservation
        .run(scope, key, bodyHash, JSON.stringify(ids), expiresAt);
      if (changes > 0) return { outcome: "reserved", ids, retry: false };
      const earlier = this.#sql.reservation.get(scope, key) as unknown as {
        body_hash: string;
        ids: string;
        answer: string | null;
      };
      if (earlier.body_hash !== bodyHash) return { outcome: "other-body" };
      return {
        outcome: "reserved",
        ids: JSON.parse(earlier.ids),
        retry: true,
        ...(earlier.answer !== null && { answer: earlier.answer }),
      };
    });
  }

  async recordAnswer(scope: string, key: string, answer: string): Promise<void> {
    await this.#connection.write(() => this.#sql.recordAnswer.run(answer, scope, key));
  }

  async check(): Promise<void> {
    await this.#connection.read(() => this.#sql.check.get());
  }

  closeStore(): Promise<void> {
    return this.#connection.close();
  }

  #insertOutbox({ topic, key, value, headers }: NewRecord): void {
    this.#sql.insertOutbox.run(topic, key, value, JSON.stringify(headers));
  }

  /** Each write that may add a row that expires takes more than one expired row away. */
  #sweep(now: Date): void {
    this.#sql.sweepRefreshTokens.run(now.getTime());
    this.#sql.sweepSessions.run(now.getTime());
    this.#sql.sweepReservations.run(now.getTime());
  }
}

interface AccountRow {
  account_id: string;
  handle: string;
  password_hash: string | null;
}

function prepare(connection: SqliteConnection) {
  const account = "SELECT account_id, handle, password_hash FROM accounts";
  const sweep = (table: string, id: string) =>
    connection.prepare(`
      DELETE FROM ${table} WHERE ${id} IN
        (SELECT ${id} FROM ${table} WHERE expires_at <= ? ORDER BY expires_at LIMIT 8)`);
  return {
    accountByHandle: connection.prepare(`${account} WHERE handle_key = ?`),
    accountById: connection.prepare(`${account} WHERE account_id = ?`),
    insertAccount: connection.prepare(
      "INSERT INTO accounts (account_id, handle, handle_key, password_hash) VALUES (?, ?, ?, ?)",
    ),
    closeAccount: connection.prepare(`
      UPDATE accounts SET password_hash = NULL
      WHERE account_id = ? AND password_hash IS NOT NULL`),

    textKey: connection.prepare("SELECT key FROM text_keys WHERE account_id = ?"),
    insertTextKey: connection.prepare("INSERT INTO text_keys (account_id, key) VALUES (?, ?)"),
    deleteTextKey: connection.prepare("DELETE FROM text_keys WHERE account_id = ?"),

    outbox: connection.prepare(
      "SELECT id, topic, key, value, headers FROM outbox ORDER BY id LIMIT ?",
    ),
    insertOutbox: connection.prepare(
      "INSERT INTO outbox (topic, key, value, headers) VALUES (?, ?, ?, ?)",
    ),
    deleteOutbox: connection.prepare("DELETE FROM outbox WHERE id = ?"),

    session: connection.prepare("SELECT family_id FROM sessions WHERE family_id = ?"),
    // Only while the account is open, even when it was closed since its password was checked.
    insertSession: connection.prepare(`
      INSERT INTO sessions (family_id, account_id, expires_at)
      SELECT ?, account_id, ? FROM accounts
      WHERE account_id = ? AND password_hash IS NOT NULL`),
    prolongSession: connection.prepare("UPDATE sessions SET expires_at = ? WHERE family_id = ?"),
    deleteSession: connection.prepare("DELETE FROM sessions WHERE family_id = ?"),
    deleteSessionsOfAccount: connection.prepare("DELETE FROM sessions WHERE account_id = ?"),
    sweepSessions: sweep("sessions", "family_id"),

    refreshToken: connection.prepare(`
      SELECT family_id, account_id FROM refresh_tokens JOIN sessions USING (family_id)
      WHERE token_hash = ? AND refresh_tokens.expires_at > ?`),
    insertRefreshToken: connection.prepare(
      "INSERT INTO refresh_tokens (token_hash, family_id, expires_at) VALUES (?, ?, ?)",
    ),
    // Compare-and-set: of two that race, one changes a row.
    useRefreshToken: connection.prepare(
      "UPDATE refresh_tokens SET used = 1 WHERE token_hash = ? AND used = 0",
    ),
    sweepRefreshTokens: sweep("refresh_tokens", "token_hash"),

    reservation: connection.prepare(
      "SELECT body_hash, ids, answer FROM reservations WHERE scope = ? AND key = ?",
    ),
    insertReservation: connection.prepare(`
      INSERT INTO reservations (scope, key, body_hash, ids, expires_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO NOTHING`),
    recordAnswer: connection.prepare(
      "UPDATE reservations SET answer = ? WHERE scope = ? AND key = ? AND answer IS NULL",
    ),
    deleteExpiredReservation: connection.prepare(
      "DELETE FROM reservations WHERE scope = ? AND key = ? AND expires_at <= ?",
    ),
    sweepReservations: connection.prepare(`
      DELETE FROM reservations WHERE (scope, key) IN
        (SELECT scope, key FROM reservations WHERE expires_at <= ? ORDER BY expires_at LIMIT 8)`),

    check: connection.prepare("SELECT 1"),
  };
}
