import { openPostgres } from "./postgres.ts";

/** Of a superuser's maintenance database on a server of this machine. */
const url = Deno.env.get("SHUTTERLOG_TEST_POSTGRES");

/** Registers what needs a server, or says that it is left out. */
export function onPostgres(what: string, register: (url: string) => void): void {
  if (url !== undefined) register(url);
  else console.log(`SHUTTERLOG_TEST_POSTGRES is unset: ${what} on PostgreSQL is left out`);
}

/** A database of its own on the given server, until `remove`. */
export async function createDatabase(server: string) {
  // Test files that run side by side share a process, and with it its id.
  const name = `shutterlog_test_${crypto.randomUUID().replaceAll("-", "")}`;
  await maintain(server, `CREATE DATABASE ${name}`);
  const own = new URL(server);
  own.pathname = `/${name}`;
  return {
    url: own.href,
    remove: () => maintain(server, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function maintain(server: string, statement: string): Promise<void> {
  const sql = await openPostgres({ url: server, connections: 1 });
  try {
    await sql.execute(statement);
  } finally {
    await sql.close();
  }
}

/** A server of a test's own, in a temporary folder and on a free port. */
export class Cluster {
  readonly #postgres: Postgres;
  readonly #folder: string;
  readonly port: number;

  private constructor(postgres: Postgres, folder: string, port: number) {
    this.#postgres = postgres;
    this.#folder = folder;
    this.port = port;
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  /** Beside the given server and like it: its programs, its account. */
  static async start(server: string): Promise<Cluster> {
    const postgres = await Postgres.of(server);
    const folder = await Deno.makeTempDir();
    if (postgres.account) await Deno.chown(folder, postgres.account.uid, postgres.account.gid);
    const port = freePort();
    await postgres.run("initdb", [
      ...["--pgdata", `${folder}/data`, "--username", "postgres", "--auth", "trust"],
      ...["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
    ]);
    const settings = `port = ${port}\nlisten_addresses = '127.0.0.1'\nmax_connections = 50\n` +
      "unix_socket_directories = ''\nshared_buffers = '16MB'\n";
    await Deno.writeTextFile(`${folder}/data/postgresql.conf`, settings, { append: true });
    const cluster = new Cluster(postgres, folder, port);
    await cluster.start();
    return cluster;
  }

  async start(): Promise<void> {
    await this.#control("start", "--log", `${this.#folder}/log`);
  }

  /** Sessions are ended at once, as when a server is restarted. */
  async stop(): Promise<void> {
    await this.#control("stop", "--mode", "fast");
  }

  /** It keeps its connections, takes new ones and answers nothing. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  async remove(): Promise<void> {
    try {
      this.thaw();
      await this.#control("stop", "--mode", "immediate");
    } finally {
      await Deno.remove(this.#folder, { recursive: true });
    }
  }

  /** The postmaster's children lead process groups of their own. */
  #signal(signal: Deno.Signal): void {
    const [pid = ""] = Deno.readTextFileSync(`${this.#folder}/data/postmaster.pid`).split("\n");
    const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
    for (const process of [pid, ...children.split(" ")]) {
      try {
        Deno.kill(Number(process), signal);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  #control(command: string, ...options: string[]): Promise<void> {
    return this.#postgres.run("pg_ctl", [
      ...["--pgdata", `${this.#folder}/data`, "--wait", "--silent", command],
      ...options,
    ]);
  }
}

/** The programs of a server that runs on this machine, and the account it runs as. */
class Postgres {
  private constructor(
    readonly programs: string,
    readonly account: { uid: number; gid: number } | undefined,
  ) {}

  static async of(server: string): Promise<Postgres> {
    const sql = await openPostgres({ url: server, connections: 1 });
    try {
      const [row] = await sql.query<{ programs: string; data: string }>(
        `SELECT setting AS programs, current_setting('data_directory') AS data
         FROM pg_config WHERE name = 'BINDIR'`,
      );
      if (!row) throw new Error("the server does not say where its programs are");
      const { uid, gid } = await Deno.stat(row.data);
      const other = uid !== null && gid !== null && uid !== Deno.uid();
      return new Postgres(row.programs, other ? { uid, gid } : undefined);
    } finally {
      await sql.close();
    }
  }

  async run(program: string, args: readonly string[]): Promise<void> {
    const { code, stderr } = await new Deno.Command(`${this.programs}/${program}`, {
      args: [...args],
      ...this.account,
      cwd: "/",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (code !== 0) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  }
}

/** Forwards connections to a server, which can change; a fixed address for one that moves. */
export class Proxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;
  #target: URL | undefined;
  /** The target's, by way of the proxy. */
  readonly url: string;

  constructor(target: string) {
    this.#target = new URL(target);
    const url = new URL(target);
    url.host = `127.0.0.1:${this.#listener.addr.port}`;
    this.url = url.href;
    this.#serving = this.#serve();
  }

  /** Cuts what is open. Without a target, what connects is cut too. */
  pointAt(target: string | undefined): void {
    this.#target = target === undefined ? undefined : new URL(target);
    for (const connection of this.#open) close(connection);
    this.#open.clear();
  }

  async stop(): Promise<void> {
    this.#listener.close();
    this.pointAt(undefined);
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const forwarding: Promise<void>[] = [];
    for await (const near of this.#listener) forwarding.push(this.#forward(near));
    await Promise.all(forwarding);
  }

  async #forward(near: Deno.Conn): Promise<void> {
    const target = this.#target;
    const far = target && await Deno.connect({
      hostname: target.hostname,
      port: Number(target.port || 5432),
    }).catch(() => undefined);
    if (!far || target !== this.#target) {
      close(near);
      if (far) close(far);
      return;
    }
    this.#open.add(near).add(far);
    const pipe = (from: Deno.Conn, to: Deno.Conn) =>
      from.readable.pipeTo(to.writable).catch(() => {}).finally(() => (close(from), close(to)));
    await Promise.all([pipe(near, far), pipe(far, near)]);
    this.#open.delete(near);
    this.#open.delete(far);
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}
