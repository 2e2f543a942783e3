import type { Cluster, Redis } from "ioredis";
import { RateLimiterRedis, type RateLimiterRes } from "rate-limiter-flexible";
import type { RateStore } from "./rate-limit.ts";

/** Milliseconds a request waits for its count. */
const patience = 250;

/** Counts that all processes on one Redis, a server or a cluster, share; one script on one key each. */
export function redisRateStore(client: Redis | Cluster): RateStore {
  return ({ name, quota, window }) =>
    new ImpatientLimiter({
      storeClient: client,
      rejectIfRedisNotReady: true,
      keyPrefix: `rate:${name}`,
      points: quota,
      duration: window,
    });
}

class ImpatientLimiter extends RateLimiterRedis {
  /** @throws {Error} when Redis does not answer in time. It may count the request all the same. */
  override async consume(key: string | number, points?: number): Promise<RateLimiterRes> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no count within ${patience} ms`)), patience);
    });
    try {
      return await Promise.race([super.consume(key, points), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
