import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { Authentication } from "../../infra/http/authenticate.ts";
import type { Idempotency } from "../../infra/http/idempotency.ts";
import type { Progress } from "../../infra/http/positions.ts";
import type { RateLimits } from "../../infra/http/rate-limit.ts";
import type { OutboxRelay } from "../../infra/identity/outbox.ts";
import type { Identity } from "../../infra/identity/port.ts";
import type { Sessions } from "../../infra/identity/sessions.ts";
import type { ObjectStore } from "../../infra/object-store/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";

/** What the command edge works with. */
export interface CommandServices extends Authentication {
  readonly log: Pick<EventLog, "append" | "watermarks">;
  readonly identity: Pick<Identity, "register" | "credentials" | "close">;
  readonly sessions: Pick<Sessions, "open" | "refresh" | "revoke" | "stands">;
  readonly passwords: {
    hash(password: string): Promise<string>;
    /** Takes as long without a hash as with one, and is false then. */
    verify(passwordHash: string | undefined, password: string): Promise<boolean>;
  };
  readonly outbox: Pick<OutboxRelay, "deliver">;
  readonly sealer: TextSealer & { forget(accountId: string): void };
  readonly store: Pick<ObjectStore, "presignPut" | "head">;
  /** The live versions of the read model and the manifests. */
  readonly sql: SqlQueries;
  readonly progress: Progress;
  readonly rateLimits: Pick<RateLimits, "registration" | "signIn" | "session" | "commands">;
  readonly idempotency: Pick<Idempotency, "once">;
  now(): Date;
  /** A UUIDv7. */
  newId(): string;
}
