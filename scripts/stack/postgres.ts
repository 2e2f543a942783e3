import { join } from "node:path";
import { development, postgresSettings, versions } from "../../infra/deploy/settings.ts";
import { projectRoot } from "../architecture/graph.ts";
import { freePorts } from "./ports.ts";
import { type Account, accountFor, find, makeFolder, run, Server, until } from "./process.ts";
import { type Place, type Running, stopAll } from "./running.ts";

export interface PostgresOptions extends Place {
  /** A free one when left out. */
  readonly port?: number;
  /** One for each streaming replica; none when left out. */
  readonly replicaPorts?: readonly number[];
  /** Over those of `infra/deploy/settings.ts`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface RunningPostgres extends Running {
  /** POSTGRES_URL: of a superuser, in the product's database. */
  readonly url: string;
  /** POSTGRES_REPLICA_URLS */
  readonly replicaUrls: readonly string[];
}

const { user, password, database } = development.postgres;
const { replication } = development;

/** A primary, and replicas that stream from it. */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const { servers, start, url, replicaUrls } = await postgresServers(options);
  try {
    await start();
  } catch (error) {
    if (options.lifetime !== "until stopped") await stopAll(servers);
    throw error;
  }
  return { servers, url, replicaUrls, stop: () => stopAll(servers) };
}

/** The servers without starting them: to find, check or end those that run. */
export async function postgresServers(options: PostgresOptions) {
  const { folder, port = freePorts(1)[0] ?? 0, replicaPorts = [] } = options;
  // PostgreSQL refuses to run as root.
  const account = await accountFor("postgres");
  const program = await postgresPrograms();
  const settings: Readonly<Record<string, string>> = {
    ...postgresSettings,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    ...options.settings,
  };
  const server = (name: string, port: number) => {
    const at = join(folder, name);
    return new Server({
      name,
      address: `127.0.0.1:${port}`,
      folder: at,
      lifetime: options.lifetime ?? "of its starter",
      ...(account && { account }),
      // Fast: ends sessions instead of waiting for them.
      stopSignal: "SIGINT",
      command: [
        program("postgres"),
        "-D",
        join(at, "data"),
        "-p",
        String(port),
        ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
      ],
      async ready() {
        await run([program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", String(port)], {
          within: 2_000,
        });
      },
    });
  };
  const primary = server("postgres-primary", port);
  const replicas = replicaPorts.map((at, index) => server(`postgres-replica-${index + 1}`, at));

  const psql = (input: string, variables: Record<string, string> = {}) =>
    run([
      program("psql"),
      ...["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"],
      ...Object.entries(variables).map(([name, value]) => `--set=${name}=${value}`),
      urlAt(port, "postgres"),
    ], { input });

  /** Does again only what is not done: each folder is filled beside its place, then moved there. */
  const start = async () => {
    await fill(primary, account, async (draft) => {
      const secret = `${draft}.password`;
      await Deno.writeTextFile(secret, password, { mode: 0o600 });
      if (account) await Deno.chown(secret, account.uid, account.gid);
      await run([
        program("initdb"),
        ...["-D", draft, "--username", user, "--pwfile", secret],
        ...["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"],
        "--data-checksums",
        ...(settings.fsync === "off" ? ["--no-sync"] : []),
      ], { ...(account && { account }), cwd: primary.spec.folder });
      await Deno.remove(secret);
    });
    await primary.start();
    const known = await psql(`SELECT 1 FROM pg_database WHERE datname = '${database}'`);
    if (known === "") await psql(`CREATE DATABASE ${database}`);
    const prepareReplica = await Deno.readTextFile(
      join(projectRoot, "infra/deploy/postgres/replication.sql"),
    );
    for (const [index, replica] of replicas.entries()) {
      const slot = `replica_${index + 1}`;
      await psql(prepareReplica, {
        replication_user: replication.user,
        replication_password: replication.password,
        slot,
      });
      await fill(replica, account, async (draft) => {
        await run([
          program("pg_basebackup"),
          ...["-D", draft, "--write-recovery-conf", "--slot", slot, "--checkpoint", "fast"],
          ...["-d", `postgres://${replication.user}:${replication.password}@127.0.0.1:${port}`],
          ...(settings.fsync === "off" ? ["--no-sync"] : []),
        ], { ...(account && { account }), cwd: replica.spec.folder });
      });
    }
    await Promise.all(replicas.map((replica) => replica.start()));
    await until(async () => {
      const streaming = await psql(
        "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'",
      );
      if (Number(streaming) < replicas.length) throw new Error(`${streaming} replicas stream`);
    });
  };
  return {
    servers: [primary, ...replicas],
    start,
    url: urlAt(port, database),
    replicaUrls: replicaPorts.map((at) => urlAt(at, database)),
  };
}

/** Where PostgreSQL's programs of this version are; Debian keeps most of them off the PATH. */
export async function findPostgres(): Promise<string> {
  return await find(`/usr/lib/postgresql/${versions.postgres.version}/bin/postgres`, "postgres");
}

async function postgresPrograms(): Promise<(name: string) => string> {
  const folder = (await findPostgres()).replace(/\/postgres$/, "");
  return (name) => join(folder, name);
}

function urlAt(port: number, name: string): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${name}`;
}

async function fill(
  server: Server,
  account: Account | undefined,
  make: (draft: string) => Promise<void>,
): Promise<void> {
  const data = join(server.spec.folder, "data");
  await makeFolder(server.spec.folder, account);
  if (await Deno.stat(data).then(() => true, () => false)) return;
  const draft = `${data}.new`;
  await Deno.remove(draft, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await make(draft);
  await Deno.rename(draft, data);
}
