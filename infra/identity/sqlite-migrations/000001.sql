-- Times are milliseconds since the epoch.

CREATE TABLE accounts (
  account_id TEXT PRIMARY KEY,
  handle TEXT NOT NULL,
  -- Holds the rule that a handle belongs to one account, in whatever case and for ever.
  handle_key TEXT NOT NULL UNIQUE,
  -- Null once the account is closed.
  password_hash TEXT
) STRICT;

-- The AES-256 key of each open account. Dropping the row is what erases the account's text.
CREATE TABLE text_keys (
  account_id TEXT PRIMARY KEY REFERENCES accounts,
  key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  headers TEXT NOT NULL
) STRICT;

-- A session is a family of refresh tokens, of which one is unused. Revoking it removes the family.
CREATE TABLE sessions (
  family_id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES accounts,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Used tokens stay until they expire: one that comes again was stolen.
CREATE TABLE refresh_tokens (
  token_hash TEXT PRIMARY KEY,
  family_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
  expires_at INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX refresh_tokens_family_id ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

-- "key" is the Idempotency-Key; ids is a JSON array; answer is sealed.
CREATE TABLE reservations (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  ids TEXT NOT NULL,
  answer TEXT,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX reservations_expires_at ON reservations (expires_at);
