import assert from "node:assert/strict";
import { Cluster } from "ioredis";
import type { Server } from "../../scripts/stack/process.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { openRedis, type RedisClient } from "./client.ts";
import { ask, startRedisToFail } from "./testing.ts";

/** What is tried on such a cluster. */
interface Closable {
  check(): Promise<void>;
  close(): Promise<void>;
}

/** Starts one for a test alone. */
export async function withFailingCluster<Cache extends Closable>(
  create: (client: RedisClient) => Cache,
  body: (cluster: FailingCluster<Cache>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-redis-" });
  const { servers, stop } = await startRedisToFail("Redis Cluster", folder);
  const cluster = new FailingCluster(servers, create);
  try {
    await body(cluster);
  } finally {
    await cluster.close();
    await stop();
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * A cluster whose masters are replaced, and caches on it: some whose map of it is old, to which a
 * master and its successor both answer as masters do.
 */
export class FailingCluster<Cache extends Closable> {
  readonly #servers: readonly Server[];
  readonly #create: (client: RedisClient) => Cache;
  readonly #caches: Cache[] = [];

  constructor(servers: readonly Server[], create: (client: RedisClient) => Cache) {
    this.#servers = servers;
    this.#create = create;
  }

  /** One that knows all masters as they are now, and learns of others only when it looks for them. */
  async behind(): Promise<Cache> {
    const nodes = this.#servers.map(({ address }) => addressOf(address));
    const client = new Cluster(nodes, {
      redisOptions: { maxRetriesPerRequest: 0, disconnectTimeout: 0 },
    });
    await new Promise((resolve) => client.once("ready", resolve));
    return this.#cache(client);
  }

  /** One that begins now, and finds masters that all answer; it does not begin with this server. */
  async besides(one?: Server): Promise<Cache> {
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
    const deadline = performance.now() + 90_000;
    while (!await isMaster(replica)) {
      assert.ok(performance.now() < deadline, "not within 90 seconds");
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

  #cache(client: RedisClient): Cache {
    const cache = this.#create(client);
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
