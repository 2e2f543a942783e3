import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../architecture/graph.ts";
import type { Kind } from "../stack/available.ts";
import { testSettings } from "../stack/for-tests.ts";
import { keptLayout, partsOf } from "../stack/layout.ts";
import { freePorts } from "../stack/ports.ts";
import { Server } from "../stack/process.ts";

/** What the product needs of the stack. */
export const servers = ["kafka", "postgres", "redis", "s3", "nginx"] as const satisfies Kind[];

export type Role = "commands" | "queries" | "projector" | "image-worker";

/** The product on real servers of its own: two processes of each role behind the gateway. */
export interface RunningStack extends AsyncDisposable {
  /** Of the gateway. */
  readonly baseUrl: string;
  /** What its processes are told. */
  readonly env: Readonly<Record<string, string>>;
  /** `kafka-1`, `redis-4`, `projector-2`… @throws when there is none of that name. */
  process(name: string): Server;
  /** The end of every role's log, for a failing test to show. */
  told(): Promise<string>;
}

/**
 * Waits until no other test of this machine has a stack: two of them would measure each other. Closing
 * the file lets the next one go on (flock), as does the end of the process.
 */
async function noOtherStack(): Promise<Deno.FsFile> {
  const path = join(tmpdir(), "shutterlog-one-stack.lock");
  const file = await Deno.open(path, { create: true, write: true });
  await file.lock(true);
  return file;
}

/**
 * In a temporary folder, on free ports; it ends with this process even when that is killed.
 * @param compiled whether brokers get all of Java's compilers, which takes minutes to pay.
 */
export async function startStack({ compiled = false } = {}): Promise<RunningStack> {
  const alone = await noOtherStack();
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-stack-" });
  // Servers that refuse root run as accounts of their own.
  await Deno.chmod(folder, 0o755);
  const started: Server[] = [];
  const dispose = async () => {
    await Promise.all(started.map((server) => server.kill()));
    await Deno.remove(folder, { recursive: true });
    alone.close();
  };
  try {
    const layout = await keptLayout(folder, true);
    const lifetime = "of its starter";
    const options = { ...testSettings, lifetime, shortLived: !compiled } as const;
    const parts = await partsOf(folder, layout, servers, options);
    started.push(...parts.flatMap((part) => part.servers));
    await Promise.all(parts.map((part) => part.start()));
    const env: Readonly<Record<string, string>> = {
      ...Object.assign({}, ...parts.map((part) => part.env)),
      SERVER_SECRETS: layout.serverSecret,
      RATE_LIMIT_SCALE: "0",
      LOG_FORMAT: "text",
    };
    const ports: Record<Role, readonly number[]> = {
      commands: layout.ports.commands,
      queries: layout.ports.queries,
      projector: freePorts(2),
      "image-worker": freePorts(2),
    };
    const roles = Object.entries(ports).flatMap(([role, its]) =>
      its.map((port, nth) => roleProcess(folder, role, nth + 1, port, env))
    );
    started.push(...roles);
    await Promise.all(roles.map((role) => role.start()));
    return {
      baseUrl: env.PUBLIC_URL ?? "",
      env,
      process(name) {
        const found = started.find((server) => server.name === name);
        if (!found) throw new Error(`there is no ${name}`);
        return found;
      },
      async told() {
        const ends = roles.map(async ({ name, log }) => {
          const lines = (await Deno.readTextFile(log)).trimEnd().split("\n").slice(-15);
          return `${name}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
        });
        return (await Promise.all(ends)).join("\n");
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** One process of a role, as `deno task` starts it. */
function roleProcess(
  folder: string,
  role: string,
  nth: number,
  port: number,
  env: Readonly<Record<string, string>>,
): Server {
  const name = `${role}-${nth}`;
  const at = join(folder, name);
  const inherited = Object.fromEntries(
    ["HOME", "DENO_DIR"].flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  return new Server({
    name,
    address: `127.0.0.1:${port}`,
    folder: at,
    lifetime: "of its starter",
    env: { ...inherited, ...env, PORT: String(port) },
    command: [
      Deno.execPath(),
      ...["run", "-A", "--no-check", "--config", join(projectRoot, "deno.json")],
      join(projectRoot, "apps", role, "main.ts"),
    ],
    async ready() {
      const url = `http://127.0.0.1:${port}/readyz`;
      const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${name} answers ${answer.status}: ${text}`);
    },
  });
}
