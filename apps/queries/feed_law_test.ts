import fc from "fast-check";
import { createMemoryFeedCache } from "../../infra/feed-cache/memory.ts";
import { claimSeconds } from "../../infra/feed-cache/port.ts";
import { createRedisFeedCache } from "../../infra/feed-cache/redis.ts";
import { closeRedis, openRedis, type RedisAddress } from "../../infra/redis/client.ts";
import { Keys } from "../../infra/feed-cache/redis_test_keys.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { type History, history, Run } from "./testing/feed-law.ts";

/**
 * The law of feeds: for every interleaving of posts, deletes, follows, unfollows, blocks, crossings of
 * the threshold, misses, evictions, lapses, redeliveries, kills, restarts and rebuilds, what a reader
 * pages through equals what the log says, each post once. Held at every page against what the
 * projections have taken so far, and at the end, when they have taken all, against the whole log.
 */

/** Ids in one cached list: few, so that floors matter. */
const window = 3;

Deno.test("law of feeds: what is paged through equals what the log says, each post once", async () => {
  await holds(4_000, async (drawn) => {
    let time = 0;
    const now = () => time;
    const cacheOf = () => createMemoryFeedCache({ now, window, maximumFeeds: drawn.cached });
    const run = new Run({
      cache: cacheOf(),
      authorCache: cacheOf(),
      now,
      lapse: () => {
        time += claimSeconds * 1000 + 1;
        return Promise.resolve();
      },
    });
    await run.take(drawn);
  });
});

function onRedis(name: string, address: RedisAddress): void {
  Deno.test(`law of feeds, on ${name}`, async () => {
    const client = openRedis(address, silentLogger);
    const [readers, authors] = [new Keys(client), new Keys(client)];
    const cache = createRedisFeedCache({ client, prefix: readers.prefix });
    const authorCache = createRedisFeedCache({ client, prefix: authors.prefix });
    try {
      await holds(200, async (drawn) => {
        let time = 0;
        const lapse = async () => {
          time += claimSeconds * 1000 + 1;
          await readers.lapse();
          await authors.lapse();
        };
        await new Run({ cache, authorCache, now: () => time, lapse }).take(drawn);
      });
    } finally {
      await readers.remove();
      await authors.remove();
      await closeRedis(client);
    }
  });
}

const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
const nodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
if (url) onRedis("Redis", { url });
else console.log("SHUTTERLOG_TEST_REDIS is not set: the law is not held to a single Redis");
if (nodes) onRedis("Redis Cluster", { nodes: nodes.split(",") });
else console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: the law is not held to a cluster");

/** `FEED_LAW_SEED` repeats a run, `FEED_LAW_RUNS` draws more or fewer histories. */
async function holds(runs: number, property: (drawn: History) => Promise<void>): Promise<void> {
  const seed = Number(Deno.env.get("FEED_LAW_SEED") ?? Date.now() % 2 ** 31);
  const numRuns = Number(Deno.env.get("FEED_LAW_RUNS") ?? runs);
  console.log(`${numRuns} histories of seed ${seed}`);
  await fc.assert(fc.asyncProperty(history, property), { numRuns, seed });
}
