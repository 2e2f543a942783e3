import type { MiddlewareHandler } from "hono";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import type { Logger } from "../telemetry/logger.ts";
import { clientAddress, type HttpContext, type HttpEnv } from "./env.ts";
import { Problem } from "./problem.ts";

/** `quota` requests in every `window` seconds, counted from the first. */
export interface RatePolicy {
  readonly name: string;
  readonly quota: number;
  readonly window: number;
}

/** Per minute. A demonstration signs up 40 people and sends 1,000 commands from one address. */
export const ratePolicies = {
  /** By address: accounts opened. */
  registration: { name: "registration", quota: 120, window: 60 },
  /** By address and handle: passwords tried. */
  signIn: { name: "sign-in", quota: 10, window: 60 },
  /** By address: passwords tried and refresh tokens used. */
  session: { name: "session", quota: 300, window: 60 },
  /** By account. */
  commands: { name: "commands", quota: 1_200, window: 60 },
  /** By account, or address where there is none. */
  queries: { name: "queries", quota: 6_000, window: 60 },
} as const satisfies Record<string, RatePolicy>;

export type RateLimits = Readonly<Record<keyof typeof ratePolicies, RateLimit>>;

/** Keeps the counts of one policy: in memory here, in Redis where several processes must agree. */
export type RateStore = (policy: RatePolicy) => RateLimiterAbstract;

const inMemory: RateStore = ({ name, quota, window }) =>
  new RateLimiterMemory({ keyPrefix: name, points: quota, duration: window });

/** `scale` multiplies every quota; 0 switches all limits off. */
export function createRateLimits(options: {
  logger: Logger;
  scale?: number;
  store?: RateStore;
  policies?: Partial<Record<keyof typeof ratePolicies, RatePolicy>>;
}): RateLimits {
  const { logger, scale = 1, store = inMemory } = options;
  const all = { ...ratePolicies, ...options.policies };
  const limit = (policy: RatePolicy) => {
    const scaled = { ...policy, quota: Math.max(1, Math.round(policy.quota * scale)) };
    return new RateLimit(scaled, scale > 0 ? store(scaled) : undefined, logger);
  };
  return {
    registration: limit(all.registration),
    signIn: limit(all.signIn),
    session: limit(all.session),
    commands: limit(all.commands),
    queries: limit(all.queries),
  };
}

/** One policy and its counts. */
export class RateLimit {
  readonly #policy: string;
  readonly #name: string;
  readonly #quota: number;
  readonly #limiter: RateLimiterAbstract | undefined;
  readonly #logger: Logger;

  constructor(policy: RatePolicy, limiter: RateLimiterAbstract | undefined, logger: Logger) {
    this.#name = policy.name;
    this.#quota = policy.quota;
    this.#policy = `"${policy.name}";q=${policy.quota};w=${policy.window}`;
    this.#limiter = limiter;
    this.#logger = logger;
  }

  /**
   * Counts one request and says in the answer what is left (`RateLimit-Policy` and `RateLimit`,
   * draft-ietf-httpapi-ratelimit-headers-10). Requests pass while the counts cannot be reached.
   * @throws {Problem} 429 with `Retry-After` when nothing is left.
   */
  async take(c: HttpContext, key: string): Promise<void> {
    if (!this.#limiter) return;
    let state: RateLimiterRes;
    try {
      state = await this.#limiter.consume(key);
    } catch (failure) {
      if (!(failure instanceof RateLimiterRes)) {
        this.#logger.warn("requests pass uncounted", { limit: this.#name, error: failure });
        return;
      }
      state = failure;
    }
    const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1000));
    const headers = c.get("headers");
    headers["RateLimit-Policy"] = this.#policy;
    headers["RateLimit"] = `"${this.#name}";r=${state.remainingPoints};t=${seconds}`;
    if (state.consumedPoints > this.#quota) {
      throw new Problem("too-many-requests", `try again in ${seconds} seconds`, {
        headers: { "Retry-After": String(seconds) },
      });
    }
  }
}

/**
 * Counts a request for its account, or for its address where `authenticate` does not stand before it.
 *
 * @example
 * ```ts
 * app.get("/v1/feed", authenticate(services), rateLimit(rateLimits.queries), handler);
 * ```
 */
export function rateLimit(limit: RateLimit): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    await limit.take(c, c.get("caller")?.accountId ?? clientAddress(c));
    await next();
  };
}
