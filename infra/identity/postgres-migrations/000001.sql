-- What must be unique or forgotten. Not a projection: the log cannot make it again.

CREATE TABLE identity.accounts (
  account_id uuid PRIMARY KEY,
  handle text NOT NULL,
  -- Holds the rule that a handle belongs to one account, in whatever case and for ever.
  handle_key text NOT NULL UNIQUE,
  -- Null once the account is closed.
  password_hash text
);

-- The AES-256 key of each open account. Dropping the row is what erases the account's text.
CREATE TABLE identity.text_keys (
  account_id uuid PRIMARY KEY REFERENCES identity.accounts,
  key bytea NOT NULL CHECK (octet_length(key) = 32)
);

CREATE TABLE identity.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL,
  key text NOT NULL,
  value text NOT NULL,
  headers json NOT NULL
);

-- A session is a family of refresh tokens, of which one is unused. Revoking it removes the family.
CREATE TABLE identity.sessions (
  family_id uuid PRIMARY KEY,
  account_id uuid NOT NULL REFERENCES identity.accounts,
  expires_at timestamptz NOT NULL
);
CREATE INDEX ON identity.sessions (account_id);
CREATE INDEX ON identity.sessions (expires_at);

-- Used tokens stay until they expire: one that comes again was stolen.
CREATE TABLE identity.refresh_tokens (
  token_hash text PRIMARY KEY,
  family_id uuid NOT NULL REFERENCES identity.sessions ON DELETE CASCADE,
  expires_at timestamptz NOT NULL,
  used boolean NOT NULL DEFAULT false
);
CREATE INDEX ON identity.refresh_tokens (family_id);
CREATE INDEX ON identity.refresh_tokens (expires_at);

-- "key" is the Idempotency-Key; answer is sealed. Each POST adds one, and each that expires is
-- removed: room on the pages lets an answer be put in beside its row, and early vacuuming lets the
-- sweep find the expired ones without stepping over the removed.
CREATE TABLE identity.reservations (
  scope text NOT NULL,
  key text NOT NULL,
  body_hash text NOT NULL,
  ids text[] NOT NULL,
  answer text,
  -- How often the request was made.
  attempts integer NOT NULL DEFAULT 1,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
) WITH (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_insert_scale_factor = 0.05
);
CREATE INDEX ON identity.reservations (expires_at);
