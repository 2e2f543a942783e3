import { type Kind, type Missing, missingFor } from "./available.ts";
import { startKafka } from "./kafka.ts";
import { startPostgres } from "./postgres.ts";
import { freePorts } from "./ports.ts";
import { startRedis, startRedisCluster } from "./redis.ts";
import type { Running } from "./running.ts";
import { startS3 } from "./s3.ts";

export interface ServersForTests {
  /** SHUTTERLOG_TEST_KAFKA and the like, of what could be started. */
  readonly env: Record<string, string>;
  /** What could not, for want of a program, and the command that brings it. */
  readonly missing: readonly Missing[];
  /** Ends all of them and removes their data. */
  stop(): Promise<void>;
}

/** Small, and quick to notice a failure; nothing of a test's data need outlive a power cut. */
export const testSettings = {
  postgres: { fsync: "off", full_page_writes: "off" },
  redis: { "cluster-node-timeout": "2000" },
  kafkaHeap: "-Xms64m -Xmx320m",
} as const;

type Starter = (folder: string) => Promise<{ running: Running; env: Record<string, string> }>;

const starters: Record<Exclude<Kind, "nginx">, Starter> = {
  async kafka(folder) {
    const running = await startKafka({ folder, heap: testSettings.kafkaHeap, shortLived: true });
    return { running, env: { SHUTTERLOG_TEST_KAFKA: running.brokers } };
  },
  async postgres(folder) {
    const running = await startPostgres({
      folder,
      replicaPorts: freePorts(1),
      settings: testSettings.postgres,
    });
    const maintenance = (url: string) => url.replace(/[^/]*$/, "postgres");
    return {
      running,
      env: {
        SHUTTERLOG_TEST_POSTGRES: maintenance(running.url),
        SHUTTERLOG_TEST_POSTGRES_REPLICAS: running.replicaUrls.map(maintenance).join(","),
      },
    };
  },
  async redis(folder) {
    const running = await startRedisCluster({ folder, settings: testSettings.redis });
    return { running, env: { SHUTTERLOG_TEST_REDIS_CLUSTER: running.nodes } };
  },
  async "redis-single"(folder) {
    const running = await startRedis({ folder });
    return { running, env: { SHUTTERLOG_TEST_REDIS: running.url } };
  },
  async s3(folder) {
    const running = await startS3({ folder });
    const { endpoint, region, accessKeyId, secretAccessKey } = running.store;
    const server = { endpoint, region, accessKeyId, secretAccessKey };
    return { running, env: { SHUTTERLOG_TEST_S3: JSON.stringify(server) } };
  },
};

/**
 * One of each server, in a temporary folder on free ports, for all tests of a run to share: about
 * 1.5 GB of memory, most of it Kafka's. They end with this process even when it is killed.
 * @throws when one that is installed does not start; then none is left.
 */
export async function startForTests(): Promise<ServersForTests> {
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-servers-" });
  // PostgreSQL refuses root and runs as an account of its own.
  await Deno.chmod(folder, 0o755);
  const started: Running[] = [];
  const stop = async () => {
    // What they hold is thrown away, so they need not put it in order first.
    const servers = started.splice(0).flatMap((running) => running.servers);
    await Promise.all(servers.map((server) => server.kill()));
    await Deno.remove(folder, { recursive: true });
  };

  const env: Record<string, string> = {};
  const missing: Missing[] = [];
  const results = await Promise.allSettled(
    Object.entries(starters).map(async ([kind, start]) => {
      const lacking = await missingFor([kind as Exclude<Kind, "nginx">]);
      if (lacking.length > 0) return missing.push(...lacking);
      const { running, env: its } = await start(folder);
      started.push(running);
      Object.assign(env, its);
    }),
  );
  const failed = results.find((result) => result.status === "rejected");
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const once = new Map(missing.map((one) => [one.name, one]));
  return { env, missing: [...once.values()], stop };
}
