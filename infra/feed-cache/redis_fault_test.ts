import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import { Cluster } from "ioredis";
import type { Server } from "../../scripts/stack/process.ts";
import { openRedis } from "../redis/client.ts";
import { ask, type RedisKind, startRedisToFail } from "../redis/testing.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { createRedisFeedCache } from "./redis.ts";
import { Load, until } from "./redis_test_load.ts";

/**
 * Feeds under load while Redis fails: a feed may be missing, never wrong; every push is acknowledged in
 * the end; an error is a `RedisUnavailable` or the test ends of it.
 */

if (!Deno.env.has("SHUTTERLOG_TEST_REDIS_CLUSTER")) {
  console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: faults of Redis are not tested");
} else {
  for (const kind of ["Redis", "Redis Cluster"] as const) {
    test(kind, "every connection dropped 30 times loses no feed and no push", async (system) => {
      const { load, servers } = system;
      await load.progress();
      const missing = load.seen.missing;
      for (let time = 0; time < 30; time++) {
        await Promise.all(servers.map((server) => ask(server, "CLIENT", "KILL", "TYPE", "normal")));
        await load.progress(2);
      }
      assert.equal(load.seen.missing, missing, "no feed was lost");
    });

    test(kind, "a node frozen for 20 seconds, and thawed", async ({ load, master }) => {
      await load.progress();
      const server = master(load.readers[0] ?? "");
      assert.ok(server);
      const thawed = Date.now() + 20_000;
      server.freeze();
      await until("20 seconds", () => Date.now() >= thawed);
      server.thaw();
      await load.progress();
      assert.ok(load.seen.unavailable > 0, "it was noticed");
    });

    test(kind, "feeds flushed and evicted at random", async ({ load, servers, master }) => {
      await load.progress();
      for (let time = 0; time < 10; time++) {
        // At first those that are sure to hold a feed.
        const server = time < 3 ? master(load.readers[time] ?? "") : servers[time % servers.length];
        if (!server) continue;
        const missing = load.seen.missing;
        if (time % 3 === 0) await ask(server, "CONFIG", "SET", "maxmemory", "1");
        else await ask(server, "FLUSHALL").catch(ignoreReplica);
        if (time < 3) await until("a feed is missing", () => load.seen.missing > missing);
        await ask(server, "CONFIG", "SET", "maxmemory", "0");
        await load.progress();
      }
    });
  }

  test("Redis Cluster", "a replica is promoted that lacks acknowledged pushes", async (system) => {
    const { load, servers, master } = system;
    const [reader = ""] = load.readers;
    await load.progress();
    const killed = master(reader);
    assert.ok(killed);
    const replicas = (await ask(killed, "INFO", "replication")).match(/(?<=port=)\d+/g) ?? [];
    const replica = servers.find(({ address }) => address.endsWith(`:${replicas[0]}`));
    assert.ok(replica);
    replica.freeze();
    // Or the pushes would wait for it in the buffers of its connection.
    await ask(killed, "CLIENT", "KILL", "TYPE", "replica");
    await load.acknowledged(50);
    await killed.kill();
    replica.thaw();
    const missing = load.seen.missing;
    await until("the replica is promoted", () => master(reader) === replica);
    await load.progress();
    assert.ok(load.seen.missing > missing, "its feeds are missing");
    await killed.start();
    await load.progress();
  });

  test("Redis Cluster", "a slot moved to another node", async ({ load, servers, master }) => {
    const [reader = ""] = load.readers;
    const key = `feed:${reader}`;
    const slot = String(calculateSlot(key));
    await load.progress();
    const from = master(reader);
    const to = load.readers.map(master).find((server) => server !== from);
    assert.ok(from && to);
    const [fromId, toId] = [await ask(from, "CLUSTER", "MYID"), await ask(to, "CLUSTER", "MYID")];
    await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
    await ask(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
    const [host = "", port = ""] = to.address.split(":");
    assert.equal(await ask(from, "MIGRATE", host, port, key, "0", "1000"), "OK");
    const missing = load.seen.missing;
    await until("it is missing meanwhile", () => load.seen.missing > missing);
    await load.acknowledged(20);
    for (const server of [to, from, ...servers]) {
      await ask(server, "CLUSTER", "SETSLOT", slot, "NODE", toId).catch(ignoreReplica);
    }
    await load.progress();
    assert.equal(master(reader), to);
  });

  test(
    "Redis",
    "a server that starts from an old snapshot",
    async ({ load, servers: [server] }) => {
      assert.ok(server);
      await load.progress();
      await ask(server, "SAVE");
      await load.acknowledged(50);
      const missing = load.seen.missing;
      await server.kill();
      await server.start();
      await load.progress();
      assert.ok(load.seen.missing > missing, "its feeds are missing");
    },
  );
}

interface System {
  readonly load: Load;
  readonly servers: readonly Server[];
  /** The server that holds a reader's feed, as far as the client knows. */
  master(reader: string): Server | undefined;
}

function test(
  kind: RedisKind,
  claim: string,
  body: (system: System) => Promise<void>,
): void {
  Deno.test(`${kind}: ${claim}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "shutterlog-redis-" });
    const running = await startRedisToFail(kind, folder);
    const client = openRedis(running.address, silentLogger);
    const cache = createRedisFeedCache({ client });
    try {
      const load = new Load(cache);
      const { servers } = running;
      const master = (reader: string) => {
        const [name] = client instanceof Cluster
          ? client.slots[calculateSlot(`feed:${reader}`)] ?? []
          : servers.map(({ address }) => address);
        return servers.find(({ address }) => address === name);
      };
      await body({ load, servers, master });
      await load.end();
      console.log(`${kind}, ${claim}: ${JSON.stringify(load.seen)}`);
    } finally {
      await cache.close();
      await running.stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** It does what its master is told to. */
function ignoreReplica(error: unknown): void {
  const said = error instanceof Error ? error.message : "";
  if (!/^READONLY|only with masters/.test(said)) throw error;
}
