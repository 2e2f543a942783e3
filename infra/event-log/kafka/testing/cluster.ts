import { join } from "node:path";
import { kafkaServers } from "../../../../scripts/stack/kafka.ts";
import type { Server } from "../../../../scripts/stack/process.ts";
import { startAll } from "../../../../scripts/stack/running.ts";
import { Proxy } from "./proxy.ts";

/** Three brokers of one test's own, each behind a proxy, by which clients and the other brokers reach it. */
export class Cluster implements AsyncDisposable {
  readonly brokers: readonly Server[];
  readonly #folder: string;
  readonly #proxies: readonly Proxy[];

  private constructor(folder: string, brokers: readonly Server[], proxies: readonly Proxy[]) {
    this.#folder = folder;
    this.brokers = brokers;
    this.#proxies = proxies;
  }

  static async start(): Promise<Cluster> {
    const folder = await Deno.makeTempDir({ prefix: "kafka-faults-" });
    const { servers, prepare } = await kafkaServers({
      shortLived: true,
      folder,
      settings: {
        "group.initial.rebalance.delay.ms": "0",
        // A broker that was killed is replaced as the leader after so long.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
      },
    });
    await prepare();
    const proxies = servers.map(({ address }) => new Proxy(address));
    const cluster = new Cluster(folder, servers, proxies);
    try {
      await Promise.all(servers.map(async (server, index) => {
        const path = join(server.spec.folder, "server.properties");
        const properties = await Deno.readTextFile(path);
        const advertised = `advertised.listeners=CLIENT://${proxies[index]?.address}`;
        await Deno.writeTextFile(
          path,
          properties.replace(/^advertised\.listeners=.*$/m, advertised),
        );
      }));
      await startAll(servers, { folder });
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Where clients connect. */
  get addresses(): string[] {
    return this.#proxies.map(({ address }) => address);
  }

  /** Drops every connection to a broker; returns how many there were. */
  cut(): number {
    return this.#proxies.reduce((sum, proxy) => sum + proxy.cut(), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.brokers.map((broker) => broker.kill()));

    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
    await Deno.remove(this.#folder, { recursive: true });
  }
}
