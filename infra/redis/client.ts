import { Cluster, Redis } from "ioredis";
import type { Logger } from "../telemetry/logger.ts";

/** One server by URL (`redis://` or `rediss://`), or some nodes of a cluster (`host:port`). */
export type RedisAddress = { readonly url: string } | { readonly nodes: readonly string[] };

export type RedisClient = Redis | Cluster;

/**
 * Every command fails at once when its connection does, so that whoever sent it decides what that
 * means; none waits for a connection to come back, and none is sent twice behind its sender.
 */
const connection = {
  connectTimeout: 1_000,
  /** Nothing is worth waiting for on a connection that is given up. */
  disconnectTimeout: 0,
  /** Milliseconds without a reply after which a connection is given up: a frozen server. */
  socketTimeout: 2_000,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
};

const reconnectAfter = (times: number): number => Math.min(50 * times, 500);

/** Connects in the background and for ever; nothing waits for it here. */
export function openRedis(address: RedisAddress, logger: Logger): RedisClient {
  const client = "url" in address
    ? new Redis(address.url, { ...connection, retryStrategy: reconnectAfter })
    : new Cluster(address.nodes.map(startupNode), {
      clusterRetryStrategy: reconnectAfter,
      slotsRefreshTimeout: 1_000,
      /** Finds a fail-over that no redirection has told of. */
      slotsRefreshInterval: 5_000,
      redisOptions: connection,
    });
  client.on("error", (error: unknown) => logger.warn("Redis cannot be reached", { error }));
  return client;
}

/** Resolves once every socket is closed. */
export async function closeRedis(client: RedisClient): Promise<void> {
  if (client instanceof Cluster) {
    // Waits for one that is under way, or for a last one: ended amidst, it would leave a timer behind.
    await new Promise<void>((resolve) => client.refreshSlotsCache(() => resolve()));
  }
  const connections = client instanceof Cluster ? [client, ...client.nodes()] : [client];
  const ended = connections.filter(({ status }) => status !== "end" && status !== "wait")
    .map((one) => new Promise((resolve) => one.once("end", resolve)));
  client.disconnect();
  await Promise.all(ended);
  // A cluster's connections for news of itself cannot be reached: they end by now, as set above.
  await new Promise((resolve) => setTimeout(resolve, connection.disconnectTimeout));
}

function startupNode(node: string): { host: string; port: number } {
  const { hostname, port } = new URL(`redis://${node}`);
  return { host: hostname, port: Number(port || 6379) };
}
