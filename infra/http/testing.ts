/** What the tests of middleware share: an edge that says nothing and counts for itself. */
import { Registry } from "prom-client";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { silentLogger } from "../telemetry/logger.ts";
import { createEdge, type EdgeOptions } from "./edge.ts";
import type { RatePolicy } from "./rate-limit.ts";

export function testEdge(options: Partial<EdgeOptions> = {}) {
  return createEdge({
    logger: silentLogger,
    metrics: new Registry(),
    corsOrigins: ["*"],
    trustedProxies: 0,
    ...options,
  });
}

/** The last part of a problem's type, which is what clients tell problems apart by. */
export async function problemCode(response: Response): Promise<string> {
  const { type } = await response.json();
  return String(type).replace("/problems/", "");
}

/** Counts in memory that end with the test: each key's would otherwise expire by a timer after it. */
export class TestCounts implements Disposable {
  readonly #ends: (() => unknown)[] = [];

  readonly store = ({ name, quota, window }: RatePolicy): RateLimiterMemory => {
    const limiter = new RateLimiterMemory({ keyPrefix: name, points: quota, duration: window });
    const consume = limiter.consume.bind(limiter);
    limiter.consume = (key, ...rest) => {
      this.#ends.push(() => limiter.delete(key));
      return consume(key, ...rest);
    };
    return limiter;
  };

  [Symbol.dispose](): void {
    for (const end of this.#ends) end();
  }
}
