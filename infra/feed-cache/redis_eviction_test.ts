import assert from "node:assert/strict";
import { silentLogger } from "../telemetry/logger.ts";
import { startRedis } from "../../scripts/stack/redis.ts";
import { redisSettings } from "../deploy/settings.ts";
import { createRedisFeedCache } from "./redis.ts";
import { openRedis } from "../redis/client.ts";

const idOf = (n: number) => `0193aef0-1c00-7000-8000-${n.toString(16).padStart(12, "0")}`;
const ids = Array.from({ length: 200 }, (_, index) => idOf(1_000 - index));

if (Deno.env.has("SHUTTERLOG_TEST_REDIS")) {
  Deno.test("Redis: under maxmemory feeds go whole, those first that are seldom read", async () => {
    const folder = await Deno.makeTempDir();
    const server = await startRedis({
      folder,
      settings: { maxmemory: "4mb", "maxmemory-samples": "10", "lfu-log-factor": "1" },
    });
    const cache = createRedisFeedCache({ client: openRedis({ url: server.url }, silentLogger) });
    try {
      assert.equal(redisSettings["maxmemory-policy"], "allkeys-lfu");
      const readers = Array.from({ length: 2_000 }, (_, n) => idOf(10_000 + n));
      const often = readers.slice(0, 20);
      for (let at = 0; at < readers.length; at += 40) {
        await Promise.all(
          readers.slice(at, at + 40).map(async (reader) => {
            const claim = await cache.claim(reader);
            // It may be evicted before it is filled: then it is not.
            if (claim) await cache.fill(claim, ids, true);
          }),
        );
        for (let times = 0; times < 3; times++) {
          await Promise.all(often.map((one) => cache.read(one, { limit: 20 })));
        }
        await cache.push(readers.slice(0, at), idOf(2_000 + (at % 3)));
      }
      const states = new Map<string, number>();
      for (const reader of readers) {
        const page = await cache.read(reader, { limit: 500 });
        states.set(page.state, (states.get(page.state) ?? 0) + 1);
        if (page.state !== "complete") continue;
        assert.deepEqual(page.ids.slice(-ids.length), ids, "none is partly there");
      }
      assert.ok((states.get("missing") ?? 0) > 500, `${[...states]}`);
      assert.ok((states.get("complete") ?? 0) > 50, `${[...states]}`);
      const kept = await Promise.all(often.map((one) => cache.read(one, { limit: 1 })));
      const complete = kept.filter(({ state }) => state === "complete").length;
      assert.ok(complete >= 15, `${complete} of ${often.length} read often are kept`);
    } finally {
      await cache.close();
      await server.stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
} else {
  console.log("SHUTTERLOG_TEST_REDIS is not set: eviction is not tested");
}
