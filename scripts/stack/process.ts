import { dirname, join } from "node:path";

/** A Unix account to run a server as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface ServerSpec {
  /** `kafka-1` */
  readonly name: string;
  /** Where it listens, `host:port`. */
  readonly address: string;
  /** Of this server alone; its log and pid file lie in it. */
  readonly folder: string;
  /** An absolute path and its arguments. */
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** Who runs it; the caller when left out. */
  readonly account?: Account;
  /** Whether it ends when the process that started it does, or outlives it. */
  readonly lifetime: Lifetime;
  /** Ends it in good order; SIGTERM when left out. */
  readonly stopSignal?: Deno.Signal;
  /** Rejects until the server does its work. */
  ready(): Promise<void>;
}

export type Lifetime = "of its starter" | "until stopped";

/** A server's process ended before it was ready, or never was ready. */
export class ServerFailed extends Error {
  override readonly name = "ServerFailed";
}

/** Milliseconds in which a server must be ready, and in which it must have ended. */
const startDeadline = 120_000;
const stopDeadline = 20_000;
const pause = 50;

/**
 * Runs a command as a process group of its own, writes `<pid> <start time>` before it becomes that
 * command, and so is found again by any later process; a pid that the system has given to another
 * program since has another start time.
 */
const becomeServer = `printf '%s %s' $$ "$(cut -d' ' -f22 /proc/$$/stat)" >"$1.new" || exit 1
mv "$1.new" "$1"; log=$2; shift 2; exec "$@" >>"$log" 2>&1`;

/** One server process, which can be stopped, killed, frozen and started again. */
export class Server {
  readonly spec: ServerSpec;
  /** Of a child that ends with us: its end, which must be awaited lest it be left a zombie. */
  #ended: Promise<unknown> | undefined;

  constructor(spec: ServerSpec) {
    this.spec = spec;
  }

  get name(): string {
    return this.spec.name;
  }

  get address(): string {
    return this.spec.address;
  }

  get log(): string {
    return join(this.spec.folder, "log");
  }

  get #pidFile(): string {
    return join(this.spec.folder, "pid");
  }

  /** Undefined when it does not run. */
  pid(): number | undefined {
    const [pid = "", startTime = ""] = (readText(this.#pidFile) ?? "").split(" ");
    if (!/^\d+$/.test(pid)) return undefined;
    return isAlive({ pid: Number(pid), startTime }) ? Number(pid) : undefined;
  }

  /** Starts it unless it runs already, and resolves when it is ready. @throws {ServerFailed} */
  async start(): Promise<void> {
    if (this.pid() === undefined) await this.#spawn();
    const deadline = Date.now() + startDeadline;
    for (;;) {
      try {
        await this.spec.ready();
        if (this.pid() !== undefined) return;
      } catch (error) {
        if (Date.now() > deadline) throw this.#failed("is not ready", error);
      }
      if (this.pid() === undefined) throw this.#failed("has ended");
      await sleep(pause);
    }
  }

  /** Ends it in good order, or by force if it will not; no process of it is left. */
  async stop(): Promise<void> {
    await this.#end(this.spec.stopSignal ?? "SIGTERM");
  }

  /** Ends it and its children where they stand, as `kill -9` or a power failure would. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** It keeps its connections and answers nothing. */
  freeze(): void {
    this.#signalAll("SIGSTOP");
  }

  thaw(): void {
    this.#signalAll("SIGCONT");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async #spawn(): Promise<void> {
    const { folder, command, env, account, lifetime } = this.spec;
    await makeFolder(folder, account);
    const tied = lifetime === "of its starter";
    const shell = ["/bin/sh", "-c", becomeServer, "sh", this.#pidFile, this.log, ...command];
    // Not a shell's business: the kernel itself ends the server of a caller that was killed.
    const [program = "", ...args] = tied
      ? [await find("setpriv"), "--pdeathsig", "KILL", "--", ...shell]
      : shell;
    await removeIfThere(this.#pidFile);
    const child = new Deno.Command(program, {
      args,
      cwd: folder,
      clearEnv: true,
      env: { PATH: Deno.env.get("PATH") ?? "", LANG: "C.UTF-8", ...env },
      ...(account && { uid: account.uid, gid: account.gid }),
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let over = false;
    const ended = child.status.then(() => over = true);
    if (tied) this.#ended = ended;
    else child.unref();
    while (this.pid() === undefined && !over) await sleep(5);
  }

  async #end(signal: Deno.Signal): Promise<void> {
    const running = this.pid();
    if (running !== undefined) {
      // Its children too: what the server itself does not end must not outlive it.
      const all = family(running);
      if (signal !== "SIGKILL") {
        // While it is frozen it takes no signal but SIGKILL.
        all.forEach(({ pid }) => send(pid, "SIGCONT"));
        send(running, signal);
      }
      const deadline = signal === "SIGKILL" ? 0 : Date.now() + stopDeadline;
      while (all.some(isAlive)) {
        if (Date.now() > deadline) all.forEach(endForGood);
        await sleep(10);
      }
    }
    await removeIfThere(this.#pidFile);
    await this.#ended;
    this.#ended = undefined;
  }

  #signalAll(signal: Deno.Signal): void {
    const running = this.pid();
    if (running === undefined) throw new ServerFailed(`${this.name} does not run`);
    for (const { pid } of family(running)) send(pid, signal);
  }

  #failed(what: string, cause?: unknown): ServerFailed {
    const lines = (readText(this.log) ?? "").trimEnd().split("\n").slice(-12);
    return new ServerFailed(
      `${this.name} ${what}. The end of ${this.log}:\n${
        lines.map((line) => `  ${line}`).join("\n")
      }`,
      { cause },
    );
  }
}

/** Runs a program to its end, and returns what it said. @throws with that when it fails. */
export async function run(
  command: readonly [string, ...string[]],
  options: {
    account?: Account;
    env?: Record<string, string>;
    cwd?: string;
    input?: string;
    /** Milliseconds until it is ended; it may take its time when left out. */
    within?: number;
  } = {},
): Promise<string> {
  const { account, env, cwd, input, within } = options;
  const [program, ...args] = command;
  const tooLong = new AbortController();
  const timer = within === undefined ? undefined : setTimeout(() => tooLong.abort(), within);
  const child = new Deno.Command(program, {
    args,
    ...(env && { env }),
    ...(cwd !== undefined && { cwd }),
    ...(account && { uid: account.uid, gid: account.gid }),
    signal: tooLong.signal,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  }
  const { success, stdout, stderr } = await child.output().finally(() => clearTimeout(timer));
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) {
    throw new Error(`${program} ${args[0] ?? ""} failed: ${text(stderr) || text(stdout)}`);
  }
  return text(stdout);
}

/** A folder that the account can reach and owns. */
export async function makeFolder(folder: string, account?: Account): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  if (!account || account.uid === Deno.uid()) return;
  await Deno.chown(folder, account.uid, account.gid);
  try {
    await run(["/usr/bin/test", "-x", folder], { account });
  } catch {
    throw new ServerFailed(
      `${account.name} must run this server, since root may not, and cannot enter ${
        dirname(folder)
      }: keep the stack elsewhere, as in deno task stack up --data /var/tmp/shutterlog`,
    );
  }
}

/** The account to run a server as that refuses root; undefined when the caller is not root. */
export async function accountFor(name: string): Promise<Account | undefined> {
  if (Deno.uid() !== 0) return undefined;
  const [uid, gid] = await Promise.all(["-u", "-g"].map((what) => run(["id", what, name])));
  return { name, uid: Number(uid), gid: Number(gid) };
}

/** The first of these that is an executable, by path or on the PATH. */
export async function which(...programs: string[]): Promise<string | undefined> {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/go/bin"];
  for (const program of programs) {
    const candidates = program.includes("/") ? [program] : folders.map((at) => join(at, program));
    for (const path of candidates) {
      const file = await Deno.stat(path).catch(() => undefined);
      if (file?.isFile && ((file.mode ?? 0) & 0o111) !== 0) return path;
    }
  }
  return undefined;
}

/** @throws when there is no such program. */
export async function find(...programs: string[]): Promise<string> {
  const found = await which(...programs);
  if (found === undefined) {
    throw new ServerFailed(`${programs[0]} is not installed: deno task stack install`);
  }
  return found;
}

interface Process {
  readonly pid: number;
  readonly startTime: string;
}

/** A process and all that it has started, itself first. */
function family(pid: number): Process[] {
  const stat = statOf(pid);
  if (!stat) return [];
  const children = tasksOf(pid).flatMap((task) =>
    (readText(`/proc/${pid}/task/${task}/children`) ?? "").split(" ").filter(Boolean)
  );
  return [
    { pid, startTime: stat.startTime },
    ...children.flatMap((child) => family(Number(child))),
  ];
}

function tasksOf(pid: number): string[] {
  try {
    return Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => name);
  } catch {
    return [];
  }
}

/**
 * A dead process whose parent has not asked after it yet is still listed, as a zombie; while threads of
 * it are listed too, they may still hold its ports and files.
 */
function isAlive({ pid, startTime }: Process): boolean {
  const stat = statOf(pid);
  return stat?.startTime === startTime && (stat.state !== "Z" || tasksOf(pid).length > 1);
}

/** The name in brackets may hold spaces and brackets itself; what follows the last one cannot. */
function statOf(pid: number): { state: string; startTime: string } | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const [state, ...rest] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  const startTime = rest[18];
  return state !== undefined && startTime !== undefined ? { state, startTime } : undefined;
}

function endForGood(process: Process): void {
  if (isAlive(process)) send(process.pid, "SIGKILL");
}

function send(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Tries again until it does not throw. @throws what it threw last, after so many milliseconds. */
export async function until(attempt: () => Promise<void>, within = 30_000): Promise<void> {
  const deadline = Date.now() + within;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await sleep(pause);
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
