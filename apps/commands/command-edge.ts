import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Engines } from "../../infra/config/engines.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { HttpEnv } from "../../infra/http/env.ts";
import { Idempotency } from "../../infra/http/idempotency.ts";
import type { Progress } from "../../infra/http/positions.ts";
import type { RateLimits } from "../../infra/http/rate-limit.ts";
import { startOutboxRelay } from "../../infra/identity/outbox.ts";
import { hashPassword, verifyPassword } from "../../infra/identity/passwords.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import type { Stoppable } from "../stoppable.ts";
import { createCommands } from "./commands.ts";

/** The command side on these engines, with the relay that carries its outbox to the log. */
export function startCommandEdge(
  engines: Pick<
    Engines,
    | "log"
    | "store"
    | "identity"
    | "sessions"
    | "accessTokens"
    | "sealer"
    | "answerSeal"
    | "requestDigest"
  >,
  options: {
    readonly sql: SqlQueries;
    readonly progress: Progress;
    readonly rateLimits: RateLimits;
    readonly logger: Logger;
  },
): Stoppable & { readonly app: OpenAPIHono<HttpEnv> } {
  const { log, identity, answerSeal, requestDigest } = engines;
  const { sql, progress, rateLimits, logger } = options;
  const now = () => new Date();
  const outbox = startOutboxRelay({ identity, log, logger: logger.with({ part: "outbox" }) });
  const idempotency = new Idempotency({
    identity,
    seal: answerSeal,
    digest: requestDigest,
    newId,
    now,
  });
  const app = createCommands({
    ...engines,
    passwords: { hash: hashPassword, verify: verifyPassword },
    outbox,
    sql,
    progress,
    rateLimits,
    idempotency,
    now,
    newId,
  });
  return { app, stop: () => outbox.stop() };
}
