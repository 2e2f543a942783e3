import { v7 } from "uuid";
import { createLogger } from "../telemetry/logger.ts";
import { feedWindow } from "./port.ts";
import { createRedisFeedCache } from "./redis.ts";
import { openRedis } from "../redis/client.ts";
import { Keys } from "./redis_test_keys.ts";

/**
 * Fan-out beside its limit, and reads, on one Redis:
 *
 *     SHUTTERLOG_TEST_REDIS=redis://127.0.0.1:6380 deno run -A infra/feed-cache/redis_test_bench.ts
 *
 * `redis-benchmark` pushes with LPUSHX to lists of the same size, on one connection, with the same
 * pipeline depth, in turns with the feed cache, so that both meet the same noise.
 */
const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
if (!url) throw new Error("SHUTTERLOG_TEST_REDIS names the Redis to measure");

const feeds = 10_000;
const depth = 1_000;
const rounds = 5;
const pushesARound = 300_000;
const readers = Array.from({ length: feeds }, (_, n) => String(n).padStart(12, "0"));

const logger = createLogger({ level: "info", format: "text" });
const client = openRedis({ url }, logger);
const keys = new Keys(client);
const cache = createRedisFeedCache({ client, prefix: keys.prefix });
try {
  await fill();
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    theirs.push(await redisBenchmark(new URL(url)));
    ours.push(await fanOut());
  }
  const [limit, pushes] = [median(theirs), median(ours)];
  console.log(`redis-benchmark LPUSHX, pipeline of ${depth}: ${Math.round(limit)} pushes/s`);
  console.log(`feed cache, chunks of ${depth} readers: ${Math.round(pushes)} pushes/s`);
  console.log(`ratio ${(pushes / limit).toFixed(2)}`);
  for (const concurrency of [1, 16, 64]) {
    const rates = [];
    for (const read of [bare, cached]) rates.push(await reads(concurrency, read));
    console.log(`20 ids, ${concurrency} at a time, LRANGE alone and read: ${rates} a second`);
  }
  const bytes = Number(await client.call("MEMORY", ["USAGE", keys.prefix + readers[0]]));
  console.log(`memory of a full feed: ${bytes} bytes, ${(bytes / feedWindow).toFixed(1)} an entry`);
} finally {
  await keys.remove();
  await cache.close();
}

/** Full feeds, and as many lists of as many elements for the other side. */
async function fill(): Promise<void> {
  const ids = Array.from({ length: feedWindow }, () => v7());
  for (const reader of readers) {
    const claim = await cache.claim(reader);
    if (claim) await cache.fill(claim, ids, true);
  }
  const element = Buffer.alloc(16, "x");
  for (const reader of readers) {
    await client.rpush(`${keys.prefix}list:${reader}`, ...Array(feedWindow).fill(element));
  }
}

/** Pushes a second. */
async function fanOut(): Promise<number> {
  const started = performance.now();
  for (let pushed = 0; pushed < pushesARound;) {
    const from = pushed % feeds;
    await cache.push(readers.slice(from, from + depth), v7());
    pushed += depth;
  }
  return pushesARound * 1000 / (performance.now() - started);
}

async function redisBenchmark({ hostname, port }: URL): Promise<number> {
  const { stdout } = await new Deno.Command("redis-benchmark", {
    args: ["-h", hostname, "-p", port, "-c", "1", "-P", String(depth), "-r", String(feeds)].concat(
      ["-n", String(pushesARound), "--csv"],
      ["LPUSHX", `${keys.prefix}list:__rand_int__`, "0123456789abcdef"],
    ),
  }).output();
  const [, rate = ""] = new TextDecoder().decode(stdout).trim().split("\n").at(-1)?.split(",") ??
    [];
  return Number(rate.replaceAll('"', ""));
}

function bare(reader: string): Promise<unknown> {
  return client.lrangeBuffer(keys.prefix + reader, 0, 20);
}

async function cached(reader: string): Promise<unknown> {
  return await cache.read(reader, { limit: 20 });
}

/** Reads a second, of feeds in which no push is waiting. */
async function reads(
  concurrency: number,
  read: (reader: string) => Promise<unknown>,
): Promise<number> {
  for (const reader of readers) await cache.read(reader, { limit: 20 });
  const duration = 3_000;
  const started = performance.now();
  let done = 0;
  const loop = async () => {
    while (performance.now() - started < duration) {
      await read(readers[done % feeds] ?? "");
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  return Math.round(done * 1000 / duration);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
