import { join } from "node:path";
import { development, ports as defaultPorts, topicSettings } from "../../infra/deploy/settings.ts";
import { ensureTopics, storeNotifications } from "../../apps/projector/topics.ts";
import { openKafkaLog } from "../../infra/event-log/kafka.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import type { Kind } from "./available.ts";
import { kafkaServers } from "./kafka.ts";
import { cdnServer, gatewayServer } from "./nginx.ts";
import { freePorts, isFree } from "./ports.ts";
import { postgresServers } from "./postgres.ts";
import { type Lifetime, type Server, until } from "./process.ts";
import { redisClusterServers, redisServer } from "./redis.ts";
import { s3Server } from "./s3.ts";

/** Where everything of one stack listens; the shape of `ports` in `infra/deploy/settings.ts`. */
export type Ports = {
  readonly [Name in keyof typeof defaultPorts]: typeof defaultPorts[Name] extends number ? number
    : readonly number[];
};

/** What is kept of a stack beside its servers' data, so that any later process finds them again. */
export interface Layout {
  readonly ports: Ports;
  /** SERVER_SECRETS: drawn once. */
  readonly serverSecret: string;
}

/** One kind of server, ready to be started. */
export interface Part {
  readonly kind: Kind;
  readonly servers: readonly Server[];
  start(): Promise<void>;
  /** What the product's processes find it by. */
  readonly env: Readonly<Record<string, string>>;
}

const file = (folder: string) => join(folder, "stack.json");

/** Undefined when there is no stack in this folder. */
export async function readLayout(folder: string): Promise<Layout | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(file(folder)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The folder's own layout, or a new one with default or free ports that is kept from now on. */
export async function keptLayout(folder: string, free: boolean): Promise<Layout> {
  const known = await readLayout(folder);
  if (known) return known;
  const layout: Layout = {
    ports: free ? allFree() : defaultPorts,
    serverSecret: crypto.getRandomValues(new Uint8Array(32)).toBase64(),
  };
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${file(folder)}.new`, JSON.stringify(layout, null, 2), { mode: 0o600 });
  await Deno.rename(`${file(folder)}.new`, file(folder));
  return layout;
}

function allFree(): Ports {
  const count = Object.values(defaultPorts).flat().length;
  const free = freePorts(count);
  const entries = Object.entries(defaultPorts).map(([name, ports]) => [
    name,
    typeof ports === "number" ? free.pop() : ports.map(() => free.pop()),
  ]);
  return Object.fromEntries(entries);
}

/** Over what `infra/deploy/settings.ts` says, for a stack that serves a test. */
export interface PartOptions {
  /** "until stopped" when left out. */
  readonly lifetime?: Lifetime;
  readonly kafkaHeap?: string;
  /** See `KafkaOptions`. */
  readonly shortLived?: boolean;
  readonly postgres?: Readonly<Record<string, string>>;
  readonly redis?: Readonly<Record<string, string>>;
}

/** The parts of these kinds, in the order in which they are listed. */
export async function partsOf(
  folder: string,
  { ports }: Layout,
  wanted: readonly Kind[],
  options: PartOptions = {},
): Promise<Part[]> {
  const place = { folder, lifetime: options.lifetime ?? "until stopped" } as const;
  const startEach = async (servers: readonly Server[]) => {
    await Promise.all(servers.map((server) => server.start()));
  };
  const store = `127.0.0.1:${ports.s3}`;
  const local = (at: readonly number[]) => at.map((port) => `127.0.0.1:${port}`);

  const makers: Record<Kind, () => Promise<Part>> = {
    async kafka() {
      const { servers, prepare, brokers } = await kafkaServers({
        ...place,
        ports: ports.kafka,
        controllerPorts: ports.kafkaController,
        ...(options.kafkaHeap !== undefined && { heap: options.kafkaHeap }),
        ...(options.shortLived !== undefined && { shortLived: options.shortLived }),
      });
      const start = () => prepare().then(() => startEach(servers));
      return { kind: "kafka", servers, start, env: { KAFKA_BROKERS: brokers } };
    },
    async postgres() {
      const { servers, start, url, replicaUrls } = await postgresServers({
        ...place,
        port: ports.postgres,
        replicaPorts: ports.postgresReplica,
        ...(options.postgres && { settings: options.postgres }),
      });
      const env = { POSTGRES_URL: url, POSTGRES_REPLICA_URLS: replicaUrls.join(",") };
      return { kind: "postgres", servers, start, env };
    },
    async redis() {
      const { servers, agree, nodes } = await redisClusterServers({
        ...place,
        ports: ports.redisCluster,
        busPorts: ports.redisClusterBus,
        ...(options.redis && { settings: options.redis }),
      });
      const start = () => startEach(servers).then(agree);
      return { kind: "redis", servers, start, env: { REDIS_CLUSTER_NODES: nodes } };
    },
    async "redis-single"() {
      const { servers, url } = await redisServer({ ...place, port: ports.redisSingle });
      return {
        kind: "redis-single",
        servers,
        start: () => startEach(servers),
        env: { REDIS_URL: url },
      };
    },
    async s3() {
      const [broker] = local(ports.kafka);
      const notifies = broker !== undefined && wanted.includes("kafka");
      const { servers, start: startAlone, store } = await s3Server({
        ...place,
        port: ports.s3,
        ...(notifies && { notifications: { broker, topic: storeNotifications } }),
      });
      const start = async () => {
        if (notifies) await untilTopics(local(ports.kafka));
        await startAlone();
      };
      const env = {
        S3_ENDPOINT: store.endpoint,
        S3_PUBLIC_ENDPOINT: store.endpoint,
        S3_REGION: store.region,
        S3_BUCKET: store.bucket,
        S3_ACCESS_KEY_ID: store.accessKeyId,
        S3_SECRET_ACCESS_KEY: store.secretAccessKey,
      };
      return { kind: "s3", servers, start, env };
    },
    async nginx() {
      const gateway = await gatewayServer({
        ...place,
        port: ports.gateway,
        commands: local(ports.commands),
        queries: local(ports.queries),
      });
      const { bucket } = development.s3;
      const cdn = await cdnServer({
        ...place,
        port: ports.cdn,
        purgePort: ports.cdnPurge,
        store,
        bucket,
      });
      const servers = [...gateway.servers, ...cdn.servers];
      const start = async () => {
        await Promise.all([gateway.prepare(), cdn.prepare()]);
        await startEach(servers);
      };
      const env = {
        PUBLIC_URL: gateway.url,
        CDN_BASE_URL: cdn.url,
        CDN_PURGE_URL: cdn.purgeUrl,
        TRUSTED_PROXIES: "1",
      };
      return { kind: "nginx", servers, start, env };
    },
  };
  const parts: Part[] = [];
  for (const kind of wanted) parts.push(await makers[kind]());
  return parts;
}

/** Resolves when Kafka, which is being started meanwhile, has the product's topics. */
async function untilTopics(brokers: readonly string[]): Promise<void> {
  const { replicationFactor, minimumInSync: minInsyncReplicas } = topicSettings;
  const logger = silentLogger;
  await until(async () => {
    const log = await openKafkaLog({ brokers, replicationFactor, minInsyncReplicas, logger });
    try {
      await ensureTopics(log);
    } finally {
      await log.close();
    }
  }, kafkaDeadline);
}

/** Milliseconds in which Kafka must be ready, with what it is asked first. */
const kafkaDeadline = 150_000;

/** Servers that do not run although somebody listens where they would. */
export function takenAddresses(parts: readonly Part[]): string[] {
  return parts.flatMap(({ servers }) => servers)
    .filter((server) => server.pid() === undefined)
    .filter(({ address }) => !isFree(Number(address.split(":")[1])))
    .map(({ name, address }) => `${address} (for ${name})`);
}
