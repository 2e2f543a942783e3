import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import { Cluster } from "ioredis";
import type { Server } from "../../scripts/stack/process.ts";
import { openRedis, type RedisClient } from "../redis/client.ts";
import { ask, startRedisToFail } from "../redis/testing.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { newKey, until } from "./contract.ts";
import { type CardCache, hearingSeconds } from "./port.ts";
import { createRedisCardCache } from "./redis.ts";

/**
 * Fail-overs as they are seen by a process whose map of the cluster is old: a master and its successor
 * both answer it as masters do, or a replica as if it were one.
 */

const channel = "{card:evicted}";

if (!Deno.env.has("SHUTTERLOG_TEST_REDIS_CLUSTER")) {
  console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: card caches are not failed over");
} else {
  test("what is evicted from a master that was replaced is evicted from its successor", async (it) => {
    const key = newKey();
    const writer = await it.behind();
    await writer.evict([key]);
    const master = await it.masterOf(`card:${key}`);
    const replica = await it.replicaOf(master);
    master.freeze();
    await it.promoted(replica);
    const reader = await it.besides(master);
    await fill(reader, key, "old");
    const evicted = writer.evict([key]);
    // It takes what has come to it while it was frozen before it hears that it was replaced.
    master.thaw();
    await evicted;
    const [taken] = await reader.take([key]);
    assert.ok(!taken || "claim" in taken, "the old text is gone");
  });

  test("whoever would listen at a replica hears what is evicted", async (it) => {
    const reader = await it.behind();
    const master = await it.masterOf(channel);
    const replica = await it.replicaOf(master);
    await it.succeed(master, replica);
    // What is told at the master is passed to its replicas at most once: now not at all.
    await ask(replica, "CLUSTER", "FORGET", await ask(master, "CLUSTER", "MYID"));
    const { listening, heard } = listenTo(reader);
    await until(() => listening.live);
    const key = newKey();
    await (await it.besides(master)).evict([key]);
    await listening.caughtUp();
    assert.ok(!listening.live || heard.has(key), "it is not live, or has heard");
    await until(() => listening.live);
  });

  test("all is lost soon after a master was replaced that tells of nothing", async (it) => {
    const reader = await it.behind();
    const { listening, losses } = listenTo(reader);
    await until(() => listening.live);
    const before = losses();
    const master = await it.anotherThan(await it.masterOf(channel));
    const began = performance.now();
    await it.succeed(master, await it.replicaOf(master));
    await until(() => losses() > before);
    assert.ok(performance.now() - began < hearingSeconds * 1000);
    await until(() => listening.live);
  });

  test("a master that does not answer costs nothing until it is replaced", async (it) => {
    const reader = await it.behind();
    const { listening, losses, heard } = listenTo(reader);
    await until(() => listening.live);
    const before = losses();
    const master = await it.anotherThan(await it.masterOf(channel));
    const replica = await it.replicaOf(master);
    master.freeze();
    await listening.caughtUp();
    assert.deepEqual([listening.live, losses()], [true, before], "most masters answer");
    await it.promoted(replica);
    await until(() => losses() > before && listening.live);
    const key = newKey();
    await (await it.besides(master)).evict([key]);
    await listening.caughtUp();
    assert.ok(heard.has(key));
  });

  test("evictions are heard again after the channel's slot was moved", async (it) => {
    const reader = await it.behind();
    const { listening, losses, heard } = listenTo(reader);
    await until(() => listening.live);
    const before = losses();
    const from = await it.masterOf(channel);
    const to = await it.anotherThan(from);
    const slot = String(calculateSlot(channel));
    const [fromId, toId] = [await ask(from, "CLUSTER", "MYID"), await ask(to, "CLUSTER", "MYID")];
    await ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
    await ask(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
    for (const server of [to, from]) await ask(server, "CLUSTER", "SETSLOT", slot, "NODE", toId);
    await until(() => losses() > before);
    await until(() => listening.live);
    const key = newKey();
    await (await it.besides()).evict([key]);
    await listening.caughtUp();
    assert.ok(heard.has(key));
  });
}

function listenTo(cache: CardCache) {
  const heard = new Set<string>();
  let losses = 0;
  const listening = cache.listen({
    evicted: (keys) => keys.forEach((key) => heard.add(key)),
    lost: () => losses += 1,
  });
  return { listening, heard, losses: () => losses };
}

async function fill(cache: CardCache, key: string, text: string): Promise<void> {
  const [taken] = await cache.take([key]);
  assert.ok(taken && "claim" in taken);
  await cache.fill([{ claim: taken.claim, text }]);
  assert.deepEqual(await cache.take([key]), [{ text }]);
}

function test(claim: string, body: (cluster: RunningCluster) => Promise<void>): void {
  Deno.test(`Redis Cluster: ${claim}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "shutterlog-redis-" });
    const { servers, stop } = await startRedisToFail("Redis Cluster", folder);
    const cluster = new RunningCluster(servers);
    try {
      await body(cluster);
    } finally {
      await cluster.close();
      await stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

class RunningCluster {
  readonly #servers: readonly Server[];
  readonly #caches: CardCache[] = [];

  constructor(servers: readonly Server[]) {
    this.#servers = servers;
  }

  /** One that knows all masters as they are now, and learns of others only when it looks for them. */
  async behind(): Promise<CardCache> {
    const nodes = this.#servers.map(({ address }) => addressOf(address));
    const client = new Cluster(nodes, {
      redisOptions: { maxRetriesPerRequest: 0, disconnectTimeout: 0 },
    });
    await new Promise((resolve) => client.once("ready", resolve));
    return this.#cache(client);
  }

  /** One that begins now, and finds masters that all answer; it does not begin with this server. */
  async besides(one?: Server): Promise<CardCache> {
    const nodes = this.#servers.filter((server) => server !== one);
    const client = openRedis({ nodes: nodes.map(({ address }) => address) }, silentLogger);
    const cache = this.#cache(client);
    while (!await cache.check().then(() => true, () => false)) continue;
    return cache;
  }

  async masterOf(key: string): Promise<Server> {
    for (const server of this.#servers) {
      // Whoever does not serve it says who does; a replica too.
      const answer = await ask(server, "EXISTS", key).catch(String);
      if (!answer.includes("MOVED")) return server;
    }
    throw new Error(`nobody serves ${key}`);
  }

  async anotherThan(one: Server): Promise<Server> {
    for (const server of this.#servers) {
      if (server !== one && await isMaster(server)) return server;
    }
    throw new Error("there is no other master");
  }

  async replicaOf(master: Server): Promise<Server> {
    const [port] = /(?<=port=)\d+/.exec(await ask(master, "INFO", "replication")) ?? [];
    const replica = this.#servers.find(({ address }) => address.endsWith(`:${port}`));
    assert.ok(replica);
    return replica;
  }

  /** Resolves once it is a master. */
  async promoted(replica: Server): Promise<void> {
    const deadline = performance.now() + 30_000;
    while (!await isMaster(replica)) {
      assert.ok(performance.now() < deadline, "not within thirty seconds");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** In good order: both know of it. */
  async succeed(master: Server, replica: Server): Promise<void> {
    await ask(replica, "CLUSTER", "FAILOVER");
    await this.promoted(replica);
    while (await isMaster(master)) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async close(): Promise<void> {
    await Promise.all(this.#caches.map((cache) => cache.close()));
  }

  #cache(client: RedisClient): CardCache {
    const cache = createRedisCardCache({ client });
    this.#caches.push(cache);
    return cache;
  }
}

async function isMaster(server: Server): Promise<boolean> {
  return (await ask(server, "ROLE")).startsWith("master");
}

function addressOf(address: string): { host: string; port: number } {
  const [host = "", port] = address.split(":");
  return { host, port: Number(port) };
}
