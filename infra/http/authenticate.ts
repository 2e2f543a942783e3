import type { MiddlewareHandler } from "hono";
import type { Caller, HttpEnv } from "./env.ts";
import { Problem } from "./problem.ts";

export interface Authentication {
  /** Undefined when the token is not one of ours or has expired. */
  readonly accessTokens: { verify(token: string): Promise<Caller | undefined> };
  /** Whether the session has not been revoked and its account not closed. */
  readonly sessions: { stands(sessionId: string): Promise<boolean> };
}

/**
 * Bearer authentication (RFC 6750): sets `caller`, or answers 401 with `WWW-Authenticate`. Both
 * checks are answered from memory for a token seen before.
 *
 * @example
 * ```ts
 * app.get("/v1/me", authenticate(services), (c) => c.json(callerOf(c).accountId));
 * ```
 */
export function authenticate(
  { accessTokens, sessions }: Authentication,
): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const authorization = c.req.raw.headers.get("authorization");
    if (authorization === null) throw unauthenticated("send Authorization: Bearer", "");
    const token = /^Bearer +([A-Za-z0-9._~+/=-]+) *$/i.exec(authorization)?.[1];
    const caller = token && await accessTokens.verify(token);
    if (!caller || !await sessions.stands(caller.sessionId)) {
      throw unauthenticated("the access token is not valid any more", ', error="invalid_token"');
    }
    c.set("caller", caller);
    await next();
  };
}

function unauthenticated(detail: string, challenge: string): Problem {
  const headers = { "WWW-Authenticate": `Bearer realm="shutterlog"${challenge}` };
  return new Problem("unauthenticated", detail, { headers });
}
