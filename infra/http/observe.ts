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
 * `X-Request-Id` when it is a sane one (8 to 128 letters, digits and `._:-`), else one of ours, and
 * is echoed. `shutterlog_http_request_duration_seconds`, whose `_count` counts requests, is labelled by
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

const ownIds = crypto.randomUUID().slice(0, 24);
let ownCount = 0;

/** The given id of a request if it is a sane one, or one of ours: 24 random characters and a count. */
export function requestIdOf(given: string | null): string {
  if (given !== null && sane.test(given)) return given;
  return ownIds + (++ownCount).toString(16).padStart(12, "0");
}

/** An answer, by what metrics and the log call it. */
export interface Answered {
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly status: number;
  /** By `performance.now()`. */
  readonly begun: number;
}

/** Tells of answers, to metrics and log. */
export function observer(
  { logger, metrics }: { logger: Logger; metrics: Registry },
): (answer: Answered) => void {
  const durations = known.getOrInsertComputed(metrics, () => new Durations(metrics));
  return ({ requestId, method, path, route, status, begun }) => {
    const seconds = (performance.now() - begun) / 1000;
    durations.observe(method, route, status, seconds);
    nameRequest(method, route);
    logger.debug("request", { requestId, method, path, status, seconds });
  };
}

/** Several edges of one process count together. */
const known = new WeakMap<Registry, Durations>();
const knownMethods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

type Labels = "method" | "route" | "status";

/** Durations of one kind of answers, handed over together: one by one, each would be felt. */
class Series {
  readonly #seconds = new Float64Array(256);
  readonly #to: Histogram.Internal<Labels>;
  #count = 0;

  constructor(to: Histogram.Internal<Labels>) {
    this.#to = to;
  }

  observe(seconds: number): void {
    this.#seconds[this.#count++] = seconds;
    if (this.#count === this.#seconds.length) this.handOver();
  }

  handOver(): void {
    for (const seconds of this.#seconds.subarray(0, this.#count)) this.#to.observe(seconds);
    this.#count = 0;
  }
}

class Durations {
  readonly #histogram: Histogram<Labels>;
  readonly #all: Series[] = [];
  /** By route, status and method. */
  readonly #series = new Map<string, Map<number, Map<string, Series>>>();

  constructor(metrics: Registry) {
    this.#histogram = new Histogram({
      name: durationName,
      help: "Time from a request's head to its answer's, by route",
      labelNames: ["method", "route", "status"],
      buckets: durationBuckets,
      registers: [metrics],
      collect: () => this.#all.forEach((series) => series.handOver()),
    });
  }

  observe(method: string, route: string, status: number, seconds: number): void {
    const series = this.#series.get(route)?.get(status)?.get(method);
    (series ?? this.#add(method, route, status)).observe(seconds);
  }

  #add(method: string, route: string, status: number): Series {
    const label = knownMethods.has(method) ? method : "other";
    const series = new Series(this.#histogram.labels(label, route, String(status)));
    this.#all.push(series);
    this.#series.getOrInsertComputed(route, () => new Map())
      .getOrInsertComputed(status, () => new Map()).set(method, series);
    return series;
  }
}
