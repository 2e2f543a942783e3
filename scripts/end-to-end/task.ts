import { projectRoot } from "../architecture/graph.ts";

/** How a task ended. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  /** Its standard error. */
  readonly told: string;
}

/** A `deno task` under way, with the processes it is made of as one group, as a terminal has it. */
export interface Task {
  readonly ended: Promise<Ended>;
  /** To every process of it: `SIGINT` is Ctrl-C, `SIGKILL` is `kill -9` of all. Does nothing once it has ended. */
  signal(signal: Deno.Signal): void;
}

/** Starts `deno task <args…>`; `env` is added to this process's. */
export function startTask(args: readonly string[], env: Readonly<Record<string, string>>): Task {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...args],
    cwd: projectRoot,
    env: { ...env, NO_COLOR: "1" },
    detached: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let over = false;
  const ended = child.output().then(({ code, stdout, stderr }) => {
    const decoder = new TextDecoder();
    return { code, out: decoder.decode(stdout), told: decoder.decode(stderr) };
  }).finally(() => over = true);
  return {
    ended,
    signal(signal) {
      if (!over) Deno.kill(-child.pid, signal);
    },
  };
}
