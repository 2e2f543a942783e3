import assert from "node:assert/strict";
import { once } from "node:events";
import { closeRedis, openRedis, type RedisAddress, type RedisClient } from "../redis/client.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { createRateLimits, rateLimit } from "./rate-limit.ts";
import { redisRateStore } from "./rate-limit-redis.ts";
import { testEdge } from "./testing.ts";

const url = Deno.env.get("SHUTTERLOG_TEST_REDIS");
const nodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
if (url) sharing("Redis", { url });
else console.log("SHUTTERLOG_TEST_REDIS is not set: rate limits on a single Redis are not tested");
if (nodes) sharing("Redis Cluster", { nodes: nodes.split(",") });
else console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: rate limits there are not tested");

function sharing(name: string, address: RedisAddress): void {
  Deno.test(`redisRateStore: edges on one ${name} share their counts`, async () => {
    const clients = [openRedis(address, silentLogger), openRedis(address, silentLogger)];
    try {
      await Promise.all(clients.map(ready));
      const policy = `queries-${crypto.randomUUID()}`;
      const [here, there] = clients.map((client) => edge(client, { name: policy, quota: 3 }));
      assert.ok(here && there);
      const left = async (app: typeof here) => {
        const { status, headers } = await app.request("/");
        return `${status} ${/r=\d+/.exec(headers.get("ratelimit") ?? "")}`;
      };
      assert.equal(await left(here), "200 r=2");
      assert.equal(await left(there), "200 r=1");
      assert.equal(await left(here), "200 r=0");
      assert.equal(await left(there), "429 r=0");
      assert.equal(await left(here), "429 r=0");
    } finally {
      await Promise.all(clients.map(closeRedis));
    }
  });

  Deno.test(`redisRateStore: edges on one ${name} take leases of one quota`, async () => {
    const clients = [openRedis(address, silentLogger), openRedis(address, silentLogger)];
    try {
      await Promise.all(clients.map(ready));
      const policy = { name: `queries-${crypto.randomUUID()}`, quota: 1_000, lease: 10 };
      const apps = clients.map((client) => edge(client, policy));
      let passed = 0;
      for (let n = 0; n < 1_100; n++) {
        const response = await apps[n % 3 ? 0 : 1]?.request("/");
        if (response?.status === 200) passed += 1;
      }
      assert.ok(passed <= 1_000 && passed >= 1_000 - 2 * 12, `${passed} passed`);
    } finally {
      await Promise.all(clients.map(closeRedis));
    }
  });
}

for (const silent of [false, true]) {
  const what = silent ? "does not answer" : "is not there";
  Deno.test(`redisRateStore: requests pass while Redis ${what}`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    if (!silent) listener.close();
    const client = openRedis({ url: `redis://127.0.0.1:${port}` }, silentLogger);
    try {
      const app = edge(client, { name: "queries", quota: 3 });
      for (let n = 0; n < 5; n++) assert.equal((await app.request("/")).status, 200);
    } finally {
      await closeRedis(client);
      if (silent) listener.close();
    }
  });
}

/** For requests that are all from one address. */
function edge(
  client: RedisClient,
  policy: { readonly name: string; readonly quota: number; readonly lease?: number },
) {
  const policies = { queries: { ...policy, window: 60 } };
  const store = redisRateStore(client);
  const limits = createRateLimits({ logger: silentLogger, policies, store });
  return testEdge().get("/", rateLimit(limits.queries), (c) => c.text("x"));
}

async function ready(client: RedisClient): Promise<void> {
  if (client.status !== "ready") await once(client, "ready");
}
