import type { MiddlewareHandler } from "hono";
import type { Appended } from "../event-log/port.ts";
import { formatPosition, parsePosition, type Position } from "../event-log/position.ts";
import type { HttpContext, HttpEnv } from "./env.ts";
import { Problem } from "./problem.ts";

/** Milliseconds a request waits for its `Await-Position` at most. */
export const awaitPositionTimeout = 2_000;

/** How far projections have come. */
export interface Progress {
  /** Resolves to whether all of them passed the position within `timeoutMs`; never rejects for that. */
  reached(
    position: Position,
    projections: readonly string[],
    timeoutMs: number,
  ): Promise<boolean>;
}

/**
 * Read your writes: waits, two seconds at most, until `projections` have passed the request's
 * `Await-Position`, and says in `Position-Reached` whether they had. 400 when it is malformed.
 *
 * @example
 * ```ts
 * app.get("/v1/feed", awaitPosition(progress, ["read_model", "feeds"]), handler);
 * ```
 */
export function awaitPosition(
  progress: Progress,
  projections: readonly string[],
): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const header = c.req.raw.headers.get("await-position");
    if (header !== null) {
      const position = parsePosition(header);
      if (!position) throw new Problem("invalid-position", "send a Position as it was received");
      const reached = position.length === 0 ||
        await progress.reached(position, projections, awaitPositionTimeout);
      c.get("headers")["Position-Reached"] = String(reached);
    }
    await next();
  };
}

/** Tells the client where in the log its command lies. */
export function setPosition(c: HttpContext, appended: readonly Appended[]): void {
  c.get("headers")["Position"] = formatPosition(appended);
}
