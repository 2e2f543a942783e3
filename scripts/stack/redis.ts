import { join } from "node:path";
import { redisClusterSettings, redisSettings } from "../../infra/deploy/settings.ts";
import { freePorts } from "./ports.ts";
import { find, run, Server, until } from "./process.ts";
import { type Place, type Running, startAll, stopAll } from "./running.ts";

export interface RedisOptions extends Place {
  /** A free one when left out. */
  readonly port?: number;
  /** Over those of `infra/deploy/settings.ts`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface RedisClusterOptions extends Place {
  /** Six: three masters, then a replica of each; free ones when left out. */
  readonly ports?: readonly number[];
  /** Where the nodes talk to each other. */
  readonly busPorts?: readonly number[];
  /** Over those of `infra/deploy/settings.ts`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface RunningRedis extends Running {
  /** REDIS_URL */
  readonly url: string;
}

export interface RunningRedisCluster extends Running {
  /** REDIS_CLUSTER_NODES */
  readonly nodes: string;
}

const masters = 3;
const replicas = 3;
const slots = 16_384;

export async function startRedis(options: RedisOptions): Promise<RunningRedis> {
  const { servers, url } = await redisServer(options);
  await startAll(servers, options);
  return { servers, url, stop: () => stopAll(servers) };
}

/** The server without starting it. */
export async function redisServer(options: RedisOptions) {
  const { port = freePorts(1)[0] ?? 0 } = options;
  const programs = await redisPrograms();
  const settings = { ...redisSettings, ...options.settings };
  const server = node("redis-single", port, settings, options, programs);
  return { servers: [server], url: `redis://${server.address}` };
}

export async function startRedisCluster(
  options: RedisClusterOptions,
): Promise<RunningRedisCluster> {
  const { servers, agree, nodes } = await redisClusterServers(options);
  await startAll(servers, options);
  try {
    await agree();
  } catch (error) {
    if (options.lifetime !== "until stopped") await stopAll(servers);
    throw error;
  }
  return { servers, nodes, stop: () => stopAll(servers) };
}

/** The servers without starting them: to find, check or end those that run. */
export async function redisClusterServers(options: RedisClusterOptions) {
  const { ports = freePorts(masters + replicas) } = options;
  const busPorts = options.busPorts ?? freePorts(ports.length);
  const programs = await redisPrograms();
  const servers = ports.map((port, index) => {
    const settings = {
      ...redisSettings,
      ...redisClusterSettings,
      "cluster-config-file": "nodes.conf",
      "cluster-port": String(busPorts[index]),
      ...options.settings,
    };
    return node(`redis-${index + 1}`, port, settings, options, programs);
  });
  const ask = (server: Server, ...command: string[]) => askNode(programs.cli, server, command);

  /** Makes one cluster of them, unless they are one already, and waits until all know it. */
  const agree = async () => {
    const perMaster = Math.ceil(slots / masters);
    for (const [index, server] of servers.entries()) {
      if (index > 0) {
        await ask(server, "CLUSTER", "MEET", "127.0.0.1", String(ports[0]), String(busPorts[0]));
      }
      const owned = await ask(server, "CLUSTER", "NODES");
      if (index >= masters || /myself.*connected \d/.test(owned) || /myself,slave/.test(owned)) {
        continue;
      }
      const first = index * perMaster;
      const last = Math.min(slots, first + perMaster) - 1;
      // Another node holds them when this one has failed over before: then it is left as it is.
      await ask(server, "CLUSTER", "ADDSLOTSRANGE", String(first), String(last)).catch((error) => {
        if (!/already busy/.test(String(error))) throw error;
      });
    }
    await until(async () => {
      for (const server of servers) {
        const known = (await ask(server, "CLUSTER", "NODES")).split("\n");
        const talking = known.filter((line) => / connected( |$)/.test(line));
        if (talking.length < servers.length) throw new Error(`${server.name} knows ${known}`);
      }
    });
    for (const [index, server] of servers.slice(masters).entries()) {
      const master = servers[index];
      const role = await ask(server, "CLUSTER", "NODES");
      if (!master || !/myself,master - 0 \d+ \d+ connected$/m.test(role)) continue;
      await ask(server, "CLUSTER", "REPLICATE", await ask(master, "CLUSTER", "MYID"));
    }
    await until(async () => {
      for (const server of servers) {
        const info = await ask(server, "CLUSTER", "INFO");
        if (!/cluster_state:ok/.test(info) || !/cluster_slots_ok:16384/.test(info)) {
          throw new Error(`${server.name}: ${info}`);
        }
        const replication = await ask(server, "INFO", "replication");
        if (/role:slave/.test(replication) && !/master_link_status:up/.test(replication)) {
          throw new Error(`${server.name} does not follow its master yet`);
        }
        const known = await ask(server, "CLUSTER", "NODES");
        if ((known.match(/slave/g) ?? []).length < replicas) {
          throw new Error(`${server.name} does not know the replicas yet`);
        }
      }
    });
  };
  return { servers, agree, nodes: servers.map(({ address }) => address).join(",") };
}

interface Programs {
  readonly server: string;
  readonly cli: string;
}

async function redisPrograms(): Promise<Programs> {
  return { server: await find("redis-server"), cli: await find("redis-cli") };
}

function node(
  name: string,
  port: number,
  settings: Readonly<Record<string, string>>,
  place: Place,
  programs: Programs,
): Server {
  const folder = join(place.folder, name);
  const flags = { port: String(port), bind: "127.0.0.1", dir: folder, ...settings };
  const server: Server = new Server({
    name,
    address: `127.0.0.1:${port}`,
    folder,
    lifetime: place.lifetime ?? "of its starter",
    command: [
      programs.server,
      ...Object.entries(flags).flatMap(([key, value]) => [`--${key}`, value]),
    ],
    async ready() {
      const answer = await askNode(programs.cli, server, ["PING"]);
      if (answer !== "PONG") throw new Error(`${name} answers ${answer}`);
    },
  });
  return server;
}

/** @throws when the node answers an error: redis-cli says so with `-e`. */
async function askNode(cli: string, server: Server, command: string[]): Promise<string> {
  const [host = "", port = ""] = server.address.split(":");
  const answer = await run([cli, "-e", "-h", host, "-p", port, ...command], { within: 2_000 });
  return answer.replaceAll("\r", "");
}
