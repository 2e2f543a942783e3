import type { MiddlewareHandler } from "hono";
import { LRUCache } from "lru-cache";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import type { Logger } from "../telemetry/logger.ts";
import { clientAddress, type HttpContext, type HttpEnv } from "./env.ts";
import { Problem } from "./problem.ts";

/** `quota` requests in every `window` seconds, counted from the first. */
export interface RatePolicy {
  readonly name: string;
  readonly quota: number;
  readonly window: number;
  /**
   * Requests that a process counts at once where the counts are kept, and lets pass by itself then; 1
   * when left out, and never more than a hundredth of the quota. It never lets more pass than the quota. The next lease is
   * taken when a fifth of one is left. What other processes have taken and not used by the end of the
   * window is lacking: each may cost a client up to six fifths of a lease.
   */
  readonly lease?: number;
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
  commands: { name: "commands", quota: 1_200, window: 60, lease: 10 },
  /** By account, or address where there is none. */
  queries: { name: "queries", quota: 6_000, window: 60, lease: 50 },
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
    const quota = Math.max(1, Math.round(policy.quota * scale));
    // A hundredth of the quota at most, or a few processes would divide it among them.
    const lease = Math.min(policy.lease ?? 1, Math.max(1, Math.floor(quota / 100)));
    const scaled = { ...policy, quota, lease };
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

/** Clients whose leases a process keeps, at most: the others' are forgotten with what is left. */
const maximumLeases = 20_000;

/** Requests of one client that have been counted and not yet been made. */
interface Lease {
  left: number;
  /** Of the quota, besides. */
  readonly remaining: number;
  /** By `performance.now()`. */
  readonly endsAt: number;
}

/** One policy and its counts. */
export class RateLimit {
  readonly #name: string;
  readonly #lease: number;
  readonly #renewAt: number;
  readonly #limiter: RateLimiterAbstract | undefined;
  readonly #logger: Logger;
  readonly #leases = new LRUCache<string, Lease>({ max: maximumLeases });
  readonly #counting = new Map<string, Promise<Counted>>();
  /** What every answer says of it, in `RateLimit-Policy`; empty when there is no limit. */
  readonly policy: string;

  constructor(policy: RatePolicy, limiter: RateLimiterAbstract | undefined, logger: Logger) {
    this.#name = policy.name;
    this.#lease = policy.lease ?? 1;
    this.#renewAt = this.#lease === 1 ? -1 : Math.floor(this.#lease / 5);
    this.#limiter = limiter;
    this.#logger = logger;
    this.policy = limiter ? `"${policy.name}";q=${policy.quota};w=${policy.window}` : "";
  }

  /**
   * Counts one request and says in the answer what is left (`RateLimit-Policy` and `RateLimit`,
   * draft-ietf-httpapi-ratelimit-headers-10). Requests pass while the counts cannot be reached.
   * @throws {Problem} 429 with `Retry-After` when nothing is left.
   */
  async take(c: HttpContext, key: string): Promise<void> {
    if (!this.#limiter) return;
    const headers = c.get("headers");
    for (;;) {
      const left = this.takeLeased(key);
      if (left !== undefined) {
        headers["RateLimit-Policy"] = this.policy;
        headers["RateLimit"] = left;
        return;
      }
      const counted = await this.#count(key);
      if (counted === "uncounted") return;
      if (counted === "leased") continue;
      headers["RateLimit-Policy"] = this.policy;
      headers["RateLimit"] = this.#shown(counted.remainingPoints, counted.msBeforeNext);
      const seconds = secondsOf(counted.msBeforeNext);
      throw new Problem("too-many-requests", `try again in ${seconds} seconds`, {
        headers: { "Retry-After": String(seconds) },
      });
    }
  }

  /**
   * Counts one request at once, if there is a lease to take it from, and returns what `RateLimit`
   * says then; empty when there is no limit. Undefined when it must be counted by `take`. `now` is by
   * `performance.now()`.
   */
  takeLeased(key: string, now = performance.now()): string | undefined {
    if (!this.#limiter) return "";
    const lease = this.#leases.get(key);
    if (!lease || lease.left === 0) return undefined;
    const ms = lease.endsAt - now;
    if (ms <= 0) return undefined;
    lease.left -= 1;
    // Before it is used up, so that whoever asks often need never wait for the next.
    if (lease.left === this.#renewAt && lease.remaining > 0) void this.#count(key);
    return this.#shown(lease.remaining + lease.left, ms);
  }

  #shown(left: number, ms: number): string {
    return `"${this.#name}";r=${left};t=${secondsOf(ms)}`;
  }

  /** Resolves to a refusal, or to whether there is a lease now. Those who ask together share it. */
  #count(key: string): Promise<Counted> {
    if (this.#lease === 1) return this.#reserve(key);
    let counting = this.#counting.get(key);
    if (!counting) {
      counting = this.#reserve(key).finally(() => this.#counting.delete(key));
      this.#counting.set(key, counting);
    }
    return counting;
  }

  async #reserve(key: string): Promise<Counted> {
    const before = this.#standing(key);
    const points = Math.min(this.#lease, Math.max(1, before?.remaining ?? this.#lease));
    try {
      const state = await this.#limiter?.consume(key, points);
      if (!state) return "uncounted";
      this.#leases.set(key, {
        left: (this.#standing(key)?.left ?? 0) + points,
        remaining: state.remainingPoints,
        endsAt: performance.now() + state.msBeforeNext,
      });
      return "leased";
    } catch (failure) {
      if (failure instanceof RateLimiterRes) return failure;
      this.#logger.warn("requests pass uncounted", { limit: this.#name, error: failure });
      return "uncounted";
    }
  }

  #standing(key: string): Lease | undefined {
    const lease = this.#leases.get(key);
    return lease && performance.now() < lease.endsAt ? lease : undefined;
  }
}

type Counted = RateLimiterRes | "leased" | "uncounted";

function secondsOf(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
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
