import { join } from "node:path";
import { projectRoot } from "../architecture/graph.ts";
import { freePorts } from "./ports.ts";
import { accountFor, find, makeFolder, Server } from "./process.ts";
import { type Place, type Running, startAll, stopAll } from "./running.ts";

export interface GatewayOptions extends Place {
  /** A free one when left out. */
  readonly port?: number;
  /** `host:port` of each command edge; they need not run yet. */
  readonly commands: readonly string[];
  readonly queries: readonly string[];
}

export interface CdnOptions extends Place {
  /** A free one when left out. */
  readonly port?: number;
  readonly purgePort?: number;
  /** `host:port` of the S3 server. */
  readonly store: string;
  readonly bucket: string;
}

export interface RunningGateway extends Running {
  readonly url: string;
}

export interface RunningCdn extends Running {
  /** CDN_BASE_URL */
  readonly url: string;
  /** CDN_PURGE_URL: after a variant's deletion, GET it here. */
  readonly purgeUrl: string;
}

export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const { servers, prepare, url } = await gatewayServer(options);
  await prepare();
  await startAll(servers, options);
  return { servers, url, stop: () => stopAll(servers) };
}

export async function startCdn(options: CdnOptions): Promise<RunningCdn> {
  const { servers, prepare, url, purgeUrl } = await cdnServer(options);
  await prepare();
  await startAll(servers, options);
  return { servers, url, purgeUrl, stop: () => stopAll(servers) };
}

/** The server without starting it. */
export async function gatewayServer(options: GatewayOptions) {
  const { port = freePorts(1)[0] ?? 0, commands, queries } = options;
  const pool = (edges: readonly string[]) =>
    edges.map((edge) => `server ${edge} max_fails=2 fail_timeout=5s;`).join(" ");
  return await nginx("gateway", port, options, {
    GATEWAY_LISTEN: `127.0.0.1:${port}`,
    COMMAND_SERVERS: pool(commands),
    QUERY_SERVERS: pool(queries),
  });
}

/** The server without starting it. */
export async function cdnServer(options: CdnOptions) {
  const [free = 0, freeToo = 0] = freePorts(2);
  const { port = free, purgePort = freeToo, store, bucket } = options;
  const purgeAddress = `127.0.0.1:${purgePort}`;
  const server = await nginx("cdn", port, options, {
    CDN_LISTEN: `127.0.0.1:${port}`,
    CDN_PURGE_LISTEN: purgeAddress,
    CDN_CACHE_SIZE: "1g",
    S3_SERVER: store,
    S3_BUCKET: bucket,
  });
  return { ...server, purgeUrl: `http://${purgeAddress}` };
}

async function nginx(
  name: "gateway" | "cdn",
  port: number,
  place: Place,
  variables: Readonly<Record<string, string>>,
) {
  const folder = join(place.folder, name);
  const account = await accountFor("www-data");
  const address = `127.0.0.1:${port}`;
  const url = `http://${address}`;
  const configuration = join(folder, "nginx.conf");
  const server = new Server({
    name,
    address,
    folder,
    lifetime: place.lifetime ?? "of its starter",
    ...(account && { account }),
    // It finishes the answers in hand.
    stopSignal: "SIGQUIT",
    command: [await find("nginx"), "-e", "stderr", "-p", folder, "-c", configuration],
    async ready() {
      const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    },
  });
  const prepare = async () => {
    const template = await Deno.readTextFile(
      join(projectRoot, `infra/deploy/nginx/${name}.conf.template`),
    );
    await makeFolder(folder, account);
    await Deno.writeTextFile(configuration, fill(template, { ...variables, NGINX_DIR: folder }));
  };
  return { servers: [server], prepare, url };
}

/** What envsubst does, but a variable without a value is an error. nginx's own are lower-case. */
function fill(template: string, variables: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\$\{([A-Z0-9_]+)\}/g, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`${name} has no value`);
    return value;
  });
}
