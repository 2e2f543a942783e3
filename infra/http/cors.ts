import type { MiddlewareHandler } from "hono";
import type { HttpEnv } from "./env.ts";

const exposed = [
  "ETag",
  "Position",
  "Position-Reached",
  "RateLimit",
  "RateLimit-Policy",
  "Retry-After",
  "X-Request-Id",
].join(", ");
const allowedHeaders = [
  "Authorization",
  "Await-Position",
  "Content-Type",
  "Idempotency-Key",
  "If-None-Match",
  "Traceparent",
  "Tracestate",
  "X-Request-Id",
].join(", ");
const allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE";
/** Seconds a browser may keep a preflight's answer. */
const maximumAge = "7200";

/**
 * Cross-origin reads for browser clients (https://fetch.spec.whatwg.org/#http-cors-protocol).
 * `origins` are exact, or `*` for any. Credentials are bearer tokens, never cookies, so none are
 * allowed to be sent along. A request without `Origin` passes untouched.
 *
 * @example
 * ```ts
 * app.use(cors(["https://app.example"]));
 * ```
 */
export function cors(origins: readonly string[]): MiddlewareHandler<HttpEnv> {
  const any = origins.includes("*");
  const allowed = new Set(origins);
  return (c, next) => {
    const headers = c.get("headers");
    if (!any) headers["Vary"] = "Origin";
    const origin = c.req.raw.headers.get("origin");
    if (origin === null) return next();
    const permitted = any || allowed.has(origin);
    if (permitted) headers["Access-Control-Allow-Origin"] = any ? "*" : origin;
    if (c.req.method !== "OPTIONS" || !c.req.raw.headers.has("access-control-request-method")) {
      if (permitted) headers["Access-Control-Expose-Headers"] = exposed;
      return next();
    }
    if (permitted) {
      headers["Access-Control-Allow-Methods"] = allowedMethods;
      headers["Access-Control-Allow-Headers"] = allowedHeaders;
      headers["Access-Control-Max-Age"] = maximumAge;
    }
    return Promise.resolve(c.body(null, 204));
  };
}
