import type { MiddlewareHandler } from "hono";
import type { HttpEnv } from "./env.ts";

/** What an API answers is no page: it may load nothing and be framed by nobody. */
export const noSniffing = "nosniff";
export const noPage = "default-src 'none'; frame-ancestors 'none'";

/**
 * Headers that keep browsers from doing more with an answer than it is for. A page brings its own
 * `Content-Security-Policy`. Answers that say nothing of caching may not be stored: some hold tokens.
 *
 * @example
 * ```ts
 * app.use(securityHeaders);
 * ```
 */
export const securityHeaders: MiddlewareHandler<HttpEnv> = (c, next) => {
  const headers = c.get("headers");
  headers["X-Content-Type-Options"] = noSniffing;
  headers["Content-Security-Policy"] = noPage;
  headers["Cache-Control"] = "no-store";
  return next();
};
