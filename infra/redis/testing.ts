import { Redis } from "ioredis";
import type { Server } from "../../scripts/stack/process.ts";
import { startRedis, startRedisCluster } from "../../scripts/stack/redis.ts";
import type { RedisAddress } from "./client.ts";

export type RedisKind = "Redis" | "Redis Cluster";

/** Servers of one test alone, to be made to fail. A cluster's notice that after two seconds. */
export async function startRedisToFail(kind: RedisKind, folder: string): Promise<{
  servers: readonly Server[];
  address: RedisAddress;
  stop(): Promise<void>;
}> {
  if (kind === "Redis") {
    const { servers, url, stop } = await startRedis({ folder });
    return { servers, stop, address: { url } };
  }
  const settings = { "cluster-node-timeout": "2000" };
  const { servers, nodes, stop } = await startRedisCluster({ folder, settings });
  return { servers, stop, address: { nodes: nodes.split(",") } };
}

/** What one server answers, on a connection of its own. */
export async function ask(server: Server, ...[name = "", ...args]: string[]): Promise<string> {
  const client = new Redis(`redis://${server.address}`, { retryStrategy: () => null });
  try {
    return String(await client.call(name, args));
  } finally {
    client.disconnect();
  }
}
