import { setTimeout as delay } from "node:timers/promises";
import { type EdgeCache, EdgeUnavailable } from "./port.ts";

/** Purges under way at a time. */
const concurrency = 16;
/** Milliseconds before the second, third and fourth attempt at one key. */
const backOff = [100, 500, 2_000] as const;
/** The edge itself gives up on the store after 10 s of silence. */
const answerTimeout = 15_000;
/** Longer than that: `proxy_read_timeout` of `infra/deploy/nginx/cdn.conf.template`. */
const settlesWithinMs = 15_000;
/** What the edge passes on when the store has it no more; 403 from a store that lists to nobody. */
const gone = [403, 404, 410];

/**
 * The edge of `infra/deploy/nginx/cdn.conf.template`: a GET at its purge side makes it ask the store
 * again and put the answer in the place of what it had.
 *
 * @param options.purgeUrl CDN_PURGE_URL, without a slash at the end.
 */
export function createNginxEdge(
  { purgeUrl, backOffMs = backOff }: { purgeUrl: string; backOffMs?: readonly number[] },
): EdgeCache {
  async function purgeOne(key: string): Promise<void> {
    for (let attempt = 0;; attempt++) {
      const trouble = await tryOnce(key);
      if (trouble === undefined) return;
      const pause = backOffMs[attempt];
      if (pause === undefined) throw trouble;
      await delay(pause);
    }
  }

  async function tryOnce(key: string): Promise<EdgeUnavailable | undefined> {
    const path = key.split("/").map(encodeURIComponent).join("/");
    try {
      const answer = await fetch(`${purgeUrl}/${path}`, {
        signal: AbortSignal.timeout(answerTimeout),
      });
      await answer.body?.cancel();
      if (gone.includes(answer.status)) return undefined;
      return new EdgeUnavailable(`purging ${key}, the edge answered ${answer.status}`);
    } catch (cause) {
      return new EdgeUnavailable(`purging ${key}, the edge did not answer`, { cause });
    }
  }

  return {
    settlesWithinMs,
    async purge(keys) {
      const rest = keys.values();
      const workOff = async () => {
        for (const key of rest) await purgeOne(key);
      };
      const workers = await Promise.allSettled(Array.from({ length: concurrency }, workOff));
      const failed = workers.find((worker) => worker.status === "rejected");
      if (failed) throw failed.reason;
    },
  };
}
