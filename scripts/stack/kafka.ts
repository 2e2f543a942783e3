import { join } from "node:path";
import { kafkaHeap, kafkaSettings } from "../../infra/deploy/settings.ts";
import { fetchedKafka } from "./downloads.ts";
import { brokerCount } from "./kafka-metadata.ts";
import { freePorts } from "./ports.ts";
import { find, makeFolder, run, Server } from "./process.ts";
import { type Place, type Running, startAll, stopAll } from "./running.ts";

export interface KafkaOptions extends Place {
  /** 1 to 3; 3 when left out. */
  readonly brokers?: number;
  /** One for each broker; free ones when left out. */
  readonly ports?: readonly number[];
  readonly controllerPorts?: readonly number[];
  /** Of each JVM. */
  readonly heap?: string;
  /** Of a test: the JVM's second compiler would only compete with what is beside it. */
  readonly shortLived?: boolean;
  /** Over those of `infra/deploy/settings.ts`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface RunningKafka extends Running {
  /** KAFKA_BROKERS */
  readonly brokers: string;
}

/** A broker and a controller in each process, as KRaft allows for small clusters. */
export async function startKafka(options: KafkaOptions): Promise<RunningKafka> {
  const { servers, prepare, brokers } = await kafkaServers(options);
  await prepare();
  await startAll(servers, options);
  return { servers, brokers, stop: () => stopAll(servers) };
}

/** The servers without starting them: to find, check or end those that run. */
export async function kafkaServers(options: KafkaOptions) {
  const { folder, brokers: count = 3, heap = kafkaHeap, lifetime = "of its starter" } = options;
  const compilers = options.shortLived ? ["-XX:TieredStopAtLevel=1"] : [];
  const ports = options.ports ?? freePorts(count);
  const controllerPorts = options.controllerPorts ?? freePorts(count);
  const libraries = await fetchedKafka();
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  const java = [await find("java"), "-cp", `${libraries}/*`] as const;
  const voters = ids.map((id, index) => `${id}@127.0.0.1:${controllerPorts[index]}`).join(",");

  const nodes = ids.map((id, index) => {
    const at = join(folder, `kafka-${id}`);
    const address = `127.0.0.1:${ports[index]}`;
    const properties = {
      "process.roles": "broker,controller",
      "node.id": String(id),
      "controller.quorum.voters": voters,
      "controller.listener.names": "CONTROLLER",
      "inter.broker.listener.name": "CLIENT",
      "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
      listeners: `CLIENT://${address},CONTROLLER://127.0.0.1:${controllerPorts[index]}`,
      "advertised.listeners": `CLIENT://${address}`,
      "log.dirs": join(at, "data"),
      ...kafkaSettings(count),
      ...options.settings,
    };
    const server = new Server({
      name: `kafka-${id}`,
      address,
      folder: at,
      lifetime,
      command: [
        java[0],
        ...heap.split(" "),
        ...compilers,
        "-XX:+UseSerialGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        ...java.slice(1),
        "kafka.Kafka",
        join(at, "server.properties"),
      ],
      async ready() {
        const seen = await brokerCount(address);
        if (seen < count) throw new Error(`${address} knows ${seen} of ${count} brokers`);
      },
    });
    return { at, properties, server };
  });

  /** Writes each node's settings, and formats its storage once. */
  const prepare = async () => {
    const clusterId = await keptClusterId(folder);
    await Promise.all(nodes.map(async ({ at, properties }) => {
      await makeFolder(at);
      const path = join(at, "server.properties");
      const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
      await Deno.writeTextFile(path, lines.join(""));
      // It skips what is formatted already, and finishes what a killed run has begun.
      const formatted = join(at, "data", "meta.properties");
      if (await exists(formatted)) return;
      await run([
        ...java,
        "-Xmx128m",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        "kafka.tools.StorageTool",
        "format",
        "--ignore-formatted",
        "--cluster-id",
        clusterId,
        "--config",
        path,
      ]);
    }));
  };
  return {
    servers: nodes.map(({ server }) => server),
    prepare,
    brokers: nodes.map(({ server }) => server.address).join(","),
  };
}

/** The same for all nodes and for ever: 16 random bytes, as Kafka writes them. */
async function keptClusterId(folder: string): Promise<string> {
  const path = join(folder, "kafka-cluster-id");
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const id = bytes.toBase64({ alphabet: "base64url", omitPadding: true }).replace(/^-/, "A");
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${path}.new`, id);
  await Deno.rename(`${path}.new`, path);
  return id;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
