import assert from "node:assert/strict";
import fc from "fast-check";
import { silentLogger } from "../telemetry/logger.ts";
import { feedCacheContract } from "./contract.ts";
import { createMemoryFeedCache } from "./memory.ts";
import { type Claim, claimSeconds, type FeedCache, feedWindow } from "./port.ts";
import { createRedisFeedCache } from "./redis.ts";
import { openRedis, type RedisAddress, type RedisClient } from "../redis/client.ts";
import { RedisNodes } from "../redis/nodes.ts";
import { claimScript } from "./redis-scripts.ts";
import { Keys } from "./redis_test_keys.ts";

const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
const nodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
if (url) redisTests("Redis", { url });
else console.log("SHUTTERLOG_TEST_REDIS is not set: feeds on a single Redis are not tested");
if (nodes) redisTests("Redis Cluster", { nodes: nodes.split(",") });
else console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: feeds on a cluster are not tested");

function redisTests(name: string, address: RedisAddress): void {
  const open = () => {
    const client = openRedis(address, silentLogger);
    const keys = new Keys(client);
    const cache = createRedisFeedCache({ client, prefix: keys.prefix });
    const close = async () => {
      await keys.remove();
      await cache.close();
    };
    return { cache, client, keys, close, lapseClaims: () => keys.lapse() };
  };
  feedCacheContract(name, () => Promise.resolve(open()), { runs: 60 });

  const test = (claim: string, body: (subject: ReturnType<typeof open>) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      const subject = open();
      try {
        await body(subject);
      } finally {
        await subject.close();
      }
    });

  test("pushes that wait to be put in place come to the same as those that do not", async (subject) => {
    const { cache } = subject;
    const memory = createMemoryFeedCache();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
        const reader = newReader();
        const claims = await Promise.all([cache, memory].map((one) => one.claim(reader)));
        for (const each of steps) {
          await Promise.all(
            [cache, memory].map((one, index) => take(each, reader, one, claims[index])),
          );
        }
        for (const before of [undefined, post(0), post(350), post(777)]) {
          const page = { before, limit: before === undefined ? 2 * feedWindow : 20 };
          const [here, there] = await Promise.all(
            [cache, memory].map(async (one) => {
              const { pulls = [], ...read } = { pulls: [], ...await one.read(reader, page) };
              return { ...read, pulls: [...pulls].sort() };
            }),
          );
          assert.deepEqual(here, there);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("a claim lapses by itself, a filled feed is kept for days", async ({ cache, keys, client }) => {
    const reader = newReader();
    const claim = await cache.claim(reader);
    assert.ok(claim);
    await cache.push([reader], post(1));
    const within = async (low: number, high: number) => {
      const left = await client.pttl(keys.prefix + reader);
      assert.ok(left > low && left <= high, `${left} ms`);
    };
    await within(claimSeconds * 900, claimSeconds * 1000);
    // Whether pushes are put among others, or alone.
    for (const before of [post(5), post(6)]) {
      await cache.read(reader, { before, limit: 1 });
      await cache.push([reader], post(0));
      await within(claimSeconds * 900, claimSeconds * 1000);
    }
    assert.ok(await cache.fill(claim, [post(3)], true));
    await cache.push([reader], post(2));
    await cache.pull([reader], post(9));
    await cache.read(reader, { limit: 1 });
    await within(6.9 * 86_400_000, 7 * 86_400_000);
  });

  test("a claim whose answer was lost is had by asking again", async (subject) => {
    const key = subject.keys.prefix + newReader();
    const nodes = new RedisNodes(subject.client);
    const claim = (token: number) =>
      nodes.run(claimScript, key, 1_000, new Uint8Array(16).fill(token), claimSeconds * 1000);
    assert.deepEqual([await claim(1), await claim(1), await claim(2)], [1, 1, 0]);
  });

  test("what is pushed and never read stays within a window and a fifth", async (subject) => {
    const { cache, client, keys } = subject;
    const reader = newReader();
    await complete(cache, reader);
    for (let n = 0; n < 3 * feedWindow; n += 25) {
      await Promise.all(Array.from({ length: 25 }, (_, i) => cache.push([reader], post(n + i))));
      const length = await client.llen(keys.prefix + reader);
      assert.ok(length <= feedWindow * 1.2 + 26, `${length}`);
    }
    const bytes = Number(await client.call("MEMORY", ["USAGE", keys.prefix + reader]));
    assert.ok(bytes <= 24 * feedWindow, `${bytes} bytes`);
    await cache.read(reader, { limit: 1 });
    const settled = Number(await client.call("MEMORY", ["USAGE", keys.prefix + reader]));
    assert.ok(settled <= 19.5 * feedWindow, `${settled} bytes`);
  });

  test("a feed of another history is missing, and may be claimed", async (subject) => {
    const { cache, client, keys } = subject;
    const reader = newReader();
    await complete(cache, reader);
    await cache.push([reader], post(1));
    await cache.read(reader, { limit: 1 });
    const [header = Buffer.alloc(0)] = await client.lrangeBuffer(keys.prefix + reader, 0, 0);
    const elsewhere = Buffer.from(header);
    elsewhere.write("0".repeat(40), 1);
    await client.lset(keys.prefix + reader, 0, elsewhere);
    for (const page of [{ limit: 9 }, { before: post(9), limit: 9 }]) {
      assert.deepEqual(await cache.read(reader, page), { state: "missing" });
    }
    await complete(cache, reader);
    assert.deepEqual(await cache.read(reader, { limit: 9 }), {
      state: "complete",
      ids: [],
      endsAtFloor: false,
      pulls: [],
    });
  });

  test("a script that a server has forgotten is sent again", async ({ cache, client }) => {
    const reader = newReader();
    await forget(client);
    const claim = await cache.claim(reader);
    await forget(client);
    assert.ok(claim && await cache.fill(claim, [post(1)], true));
    await cache.push([reader], post(2));
    await forget(client);
    const page = await cache.read(reader, { limit: 9 });
    const ids = [post(2), post(1)];
    assert.deepEqual(page, { state: "complete", ids, endsAtFloor: false, pulls: [] });
  });
}

const ids = fc.tuple(fc.nat(700), fc.nat(40)).map(([oldest, more]) =>
  Array.from({ length: more + 1 }, (_, index) => post(oldest + more - index))
);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("push" as const), ids, newestFirst: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("merge" as const), ids, reachesFirst: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pull" as const), author: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("fill" as const), ids, reachesFirst: fc.boolean() }),
  },
);

async function take(
  step: Step,
  reader: string,
  cache: FeedCache,
  claim: Claim | undefined,
): Promise<void> {
  switch (step.do) {
    case "push": {
      const order = step.newestFirst ? step.ids : step.ids.toReversed();
      for (const id of order) await cache.push([reader], id);
      return;
    }
    case "merge":
      return await cache.merge(reader, step.ids, step.reachesFirst);
    case "pull":
      return await cache.pull([reader], post(step.author));
    case "fill":
      if (claim) await cache.fill(claim, step.ids, step.reachesFirst);
  }
}

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

async function complete(cache: FeedCache, reader: string): Promise<void> {
  const claim = await cache.claim(reader);
  assert.ok(claim && await cache.fill(claim, [], true));
}

async function forget(client: RedisClient): Promise<void> {
  const servers = "nodes" in client ? client.nodes("master") : [client];
  await Promise.all(servers.map((server) => server.script("FLUSH")));
}

function post(n: number): string {
  return `0193aef0-1c00-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

function newReader(): string {
  return `0193aef0-1c01-7000-8000-${crypto.randomUUID().slice(24)}`;
}
