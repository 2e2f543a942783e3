import { HTTPException } from "hono/http-exception";
import { LogUnavailable } from "../event-log/port.ts";
import { StoreUnavailable } from "../object-store/port.ts";
import { SqlError } from "../sql/port.ts";
import { Overloaded } from "../identity/passwords.ts";
import { Problem } from "./problem.ts";

/** Seconds after which a client may try again. */
const retryAfter = "2";

/**
 * What a client is told of whatever was thrown. An engine that is out of reach is a 503, for which
 * trying again is right; what nobody foresaw is a 500 that says nothing more.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const headers = { "Retry-After": retryAfter };
  if (error instanceof Overloaded) {
    return new Problem("overloaded", "too many such requests at a time", { headers });
  }
  if (error instanceof LogUnavailable || error instanceof StoreUnavailable || isOutage(error)) {
    return new Problem("unavailable", "try again in some seconds", { headers });
  }
  if (error instanceof HTTPException) {
    if (error.status === 415) {
      return new Problem("unsupported-media-type", "send Content-Type: application/json");
    }
    if (error.status === 400) return new Problem("invalid-json", "the body is not JSON");
  }
  return new Problem("internal", "it has been recorded under this request's id");
}

/**
 * PostgreSQL's classes of connection trouble (08), insufficient resources (53), operator
 * intervention (57, as when it restarts), and read-only for being a standby (25006).
 */
function isOutage(error: unknown): boolean {
  return error instanceof SqlError && /^(?:08|53|57)|^25006$/.test(error.code);
}
