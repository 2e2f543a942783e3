import assert from "node:assert/strict";
import { openRedis, type RedisAddress } from "../redis/client.ts";
import { Keys } from "../feed-cache/redis_test_keys.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { cardCacheContract, newKey, until } from "./contract.ts";
import { hearingSeconds } from "./port.ts";
import { createRedisCardCache } from "./redis.ts";

const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
const nodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
if (url) redisTests("Redis", { url });
else console.log("SHUTTERLOG_TEST_REDIS is not set: cards on a single Redis are not tested");
if (nodes) redisTests("Redis Cluster", { nodes: nodes.split(",") });
else console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: cards on a cluster are not tested");

function redisTests(name: string, address: RedisAddress): void {
  const open = () => {
    const client = openRedis(address, silentLogger);
    const keys = new Keys(client);
    const cache = createRedisCardCache({ client, prefix: keys.prefix });
    const other = createRedisCardCache({
      client: openRedis(address, silentLogger),
      prefix: keys.prefix,
    });
    const close = async () => {
      await keys.remove();
      await Promise.all([cache.close(), other.close()]);
    };
    const forget = () => keys.remove();
    return { cache, other, client, keys, close, lapseClaims: () => keys.lapse(), forget };
  };
  cardCacheContract(name, () => Promise.resolve(open()));

  const test = (claim: string, body: (subject: ReturnType<typeof open>) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      const subject = open();
      try {
        await body(subject);
      } finally {
        await subject.close();
      }
    });
  /** The servers that may serve the channel. */
  const masters = ({ client }: ReturnType<typeof open>) =>
    "nodes" in client ? client.nodes("master") : [client];

  test("a lost connection is said, and what is evicted later is heard again", async (subject) => {
    const heard: string[] = [];
    let losses = 0;
    const listening = subject.cache.listen({
      evicted: (keys) => heard.push(...keys),
      lost: () => losses += 1,
    });
    await until(() => listening.live);
    await Promise.all(
      masters(subject).map((node) => node.call("CLIENT", ["KILL", "TYPE", "pubsub"])),
    );
    await until(() => losses === 1);
    await until(() => listening.live);
    const key = newKey();
    await subject.other.evict([key]);
    await listening.caughtUp();
    assert.deepEqual([heard, losses], [[key], 1]);
  });

  test("who hears nothing, not even themselves, shows nothing", async (subject) => {
    let losses = 0;
    const listening = subject.cache.listen({ evicted: () => {}, lost: () => losses += 1 });
    await until(() => listening.live);
    const paused = performance.now();
    await Promise.all(
      masters(subject).map((node) => node.call("CLIENT", ["PAUSE", "2500", "ALL"])),
    );
    await until(() => !listening.live);
    assert.ok(performance.now() - paused < (hearingSeconds + 0.5) * 1000);
    await until(() => losses > 0);
    await until(() => listening.live);
  });

  test("a text of another history is missing, and may be claimed", async ({ cache, client, keys }) => {
    const key = newKey();
    const [taken] = await cache.take([key]);
    assert.ok(taken && "claim" in taken);
    await cache.fill([{ claim: taken.claim, text: "text" }]);
    const kept = await client.get(keys.prefix + key);
    await client.set(keys.prefix + key, `T${"0".repeat(40)}${kept?.slice(41)}`);
    const [again] = await cache.take([key]);
    assert.ok(again && "claim" in again);
    await cache.fill([{ claim: again.claim, text: "new" }]);
    assert.deepEqual(await cache.take([key]), [{ text: "new" }]);
  });

  test("a text is kept for minutes, a claim for seconds", async ({ cache, client, keys }) => {
    const key = newKey();
    const [taken] = await cache.take([key]);
    assert.ok(taken && "claim" in taken);
    const claimed = await client.pttl(keys.prefix + key);
    assert.ok(claimed > 9_000 && claimed <= 10_000, `${claimed}`);
    await cache.fill([{ claim: taken.claim, text: "text" }]);
    const kept = await client.pttl(keys.prefix + key);
    assert.ok(kept > 590_000 && kept <= 600_000, `${kept}`);
  });
}
