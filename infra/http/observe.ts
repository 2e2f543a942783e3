import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { Histogram, type Registry } from "prom-client";
import type { Logger } from "../telemetry/logger.ts";
import { nameRequest } from "../telemetry/tracing.ts";
import type { HttpEnv } from "./env.ts";

/** What a client or a proxy may name its request. */
const sane = /^[A-Za-z0-9][A-Za-z0-9._:-]{7,127}$/;

const durationName = "shutterlog_http_request_duration_seconds";
/** Seconds: from an answer out of memory to the longest wait for a position. */
const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/**
 * Request ids, access log and metrics, outermost of all. The id is the request's own
 * `X-Request-Id` when it is a sane one (8 to 128 letters, digits and `._:-`), else a random UUID,
 * and is echoed. `shutterlog_http_request_duration_seconds`, whose `_count` counts requests, is labelled by
 * method, status and the route's pattern, never by the path, so that its series are bounded. Each
 * request is one `debug` line; what went wrong on our side is told by the error handler.
 *
 * @example
 * ```ts
 * app.use(observe({ logger, metrics: new Registry() }));
 * ```
 */
export function observe(
  { logger, metrics }: { logger: Logger; metrics: Registry },
): MiddlewareHandler<HttpEnv> {
  const observed = observer({ logger, metrics });
  return async (c, next) => {
    const begun = performance.now();
    const { method } = c.req;
    const requestId = requestIdOf(c.req.raw.headers.get("x-request-id"));
    const prepared = { "X-Request-Id": requestId };
    c.set("requestId", requestId);
    c.set("headers", prepared);
    await next();
    const { status, headers } = c.res;
    for (const [name, value] of Object.entries(prepared)) {
      if (!headers.has(name)) headers.set(name, value);
    }
    const pattern = routePath(c, -1);
    const route = pattern.endsWith("*") ? "unmatched" : pattern;
    observed({ requestId, method, path: c.req.path, route, status, begun });
  };
}

/** The given id of a request if it is a sane one, or one of ours. */
export function requestIdOf(given: string | null): string {
  return given !== null && sane.test(given) ? given : crypto.randomUUID();
}

/** Tells of answers, to metrics and log. `begun` is by `performance.now()`. */
export function observer(
  { logger, metrics }: { logger: Logger; metrics: Registry },
): (
  answer: {
    readonly requestId: string;
    readonly method: string;
    readonly path: string;
    readonly route: string;
    readonly status: number;
    readonly begun: number;
  },
) => void {
  const durations = durationsIn(metrics);
  // Labels are validated and hashed once per series, not once per request.
  const series = new Map<string, { observe(seconds: number): void }>();
  return ({ requestId, method, path, route, status, begun }) => {
    const seconds = (performance.now() - begun) / 1000;
    const name = `${method} ${status} ${route}`;
    let one = series.get(name);
    if (!one) {
      one = durations.labels(knownMethods.has(method) ? method : "other", route, String(status));
      series.set(name, one);
    }
    one.observe(seconds);
    nameRequest(method, route);
    logger.debug("request", { requestId, method, path, status, seconds });
  };
}

const knownMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** Several edges of one process count together. */
function durationsIn(metrics: Registry): Histogram<"method" | "route" | "status"> {
  const known = metrics.getSingleMetric(durationName);
  if (known instanceof Histogram) return known;
  return new Histogram({
    name: durationName,
    help: "Time from a request's head to its answer's, by route",
    labelNames: ["method", "route", "status"],
    buckets: durationBuckets,
    registers: [metrics],
  });
}
