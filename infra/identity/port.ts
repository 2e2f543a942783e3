import type { NewRecord } from "../event-log/port.ts";

/**
 * What must be unique or forgotten, and so cannot live in the log: handles, credentials, the keys
 * that seal personal text, sessions, idempotency keys. Not a projection; never rebuilt.
 */
export interface Identity {
  /**
   * Takes a handle for a new account, creates its text key, and leaves its AccountRegistered in the
   * outbox, all in one transaction.
   * Resolves to "handle-taken" when another account holds the handle, in whatever case. Registering
   * the same account id again with the same handle succeeds and changes nothing; with another
   * handle it throws.
   */
  register(account: {
    accountId: string;
    handle: string;
    passwordHash: string;
    /** Made after the key exists, since the text in the record is sealed with it. */
    record(key: Uint8Array): Promise<NewRecord>;
  }): Promise<"registered" | "handle-taken">;
  /**
   * Takes a handle, and creates a text key, for an account whose AccountRegistered comes from
   * elsewhere: nothing is left in the outbox. Adopting one that is there, open or closed, under the
   * same handle changes nothing; under another handle it throws.
   */
  adopt(account: {
    accountId: string;
    handle: string;
    passwordHash: string;
  }): Promise<"adopted" | "handle-taken">;
  /** By handle (any case) or id; undefined for one that never was. */
  credentials(by: { handle: string } | { accountId: string }): Promise<Credentials | undefined>;
  /**
   * Closes the account, drops its text key and its sessions and leaves `record` (AccountClosed) in
   * the outbox, in one transaction. The handle stays taken. Closing again changes nothing.
   */
  close(accountId: string, record: NewRecord): Promise<void>;
  /**
   * The 32-byte AES keys that seal these accounts' text, by account id; without that of one that is
   * closed, or never was.
   */
  textKeys(accountIds: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>>;

  /** Outbox rows in order of insertion, at most `limit`. */
  pendingOutbox(limit: number): Promise<OutboxRow[]>;
  removeOutbox(ids: readonly number[]): Promise<void>;

  /** Stores a refresh token's hash as the first of a new family, unless the account is not open. */
  createSession(session: NewSession): Promise<"created" | "account-not-open">;
  /**
   * Uses up a refresh token, once. "reused" when it was used before: the whole family is revoked
   * (RFC 9700 §4.14.2). "unknown" also stands for expired and revoked ones.
   */
  rotateSession(
    tokenHash: string,
    successor: { tokenHash: string; expiresAt: Date },
    now: Date,
  ): Promise<
    | { outcome: "rotated" | "reused"; accountId: string; familyId: string }
    | { outcome: "unknown" }
  >;
  /** Ends one session: its family of refresh tokens is revoked. */
  revokeSession(familyId: string): Promise<void>;
  /** Whether the session behind an access token still stands: not revoked, account open. */
  sessionStands(familyId: string): Promise<boolean>;

  /**
   * Reserves ids for a request under an idempotency key, or finds what was reserved before. The
   * reservation is durable before it resolves. Keys are kept 24 hours.
   */
  reserve(request: {
    /** The account, or the caller's address where there is none. */
    scope: string;
    key: string;
    /** SHA-256 of method, path and body. */
    bodyHash: string;
    ids: readonly string[];
    now: Date;
  }): Promise<Reservation>;
  /** Keeps the answer (sealed by the caller), to be given again to a retry. The first one stays. */
  recordAnswer(scope: string, key: string, answer: string): Promise<void>;

  check(): Promise<void>;
  closeStore(): Promise<void>;
}

export interface Credentials {
  readonly accountId: string;
  readonly handle: string;
  /** Undefined once the account is closed. */
  readonly passwordHash: string | undefined;
  readonly status: "open" | "closed";
}

export interface OutboxRow {
  readonly id: number;
  readonly record: NewRecord;
}

export interface NewSession {
  readonly familyId: string;
  readonly accountId: string;
  readonly tokenHash: string;
  readonly expiresAt: Date;
}

export type Reservation =
  | {
    readonly outcome: "reserved";
    readonly ids: readonly string[];
    /** Whether an earlier attempt reserved them: it may have been carried out in part. */
    readonly retry: boolean;
    readonly answer?: string;
  }
  | { readonly outcome: "other-body" };
