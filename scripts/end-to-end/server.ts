import { TextLineStream } from "./lines.ts";

/** A real server process on the embedded engines, on a free port and a folder of its own. */
export interface RunningServer {
  readonly baseUrl: string;
  readonly dataDir: string;
  readonly pid: number;
  /** All it has written so far, for a failing test to show. */
  output(): string;
  /** SIGTERM, and waits for it to have drained. Resolves to its exit code. */
  stop(): Promise<number>;
  /** SIGKILL: it dies between two instructions. Resolves once it is gone. */
  kill(): Promise<void>;
}

const entry = new URL("../../apps/dev/main.ts", import.meta.url).pathname;

/**
 * Starts a server and resolves once `/readyz` answers 200.
 * @throws with what it wrote, when it exits first or is not ready within `readyWithinMs`.
 */
export async function startServer(options: {
  dataDir: string;
  env?: Record<string, string>;
  readyWithinMs?: number;
}): Promise<RunningServer> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", entry],
    env: {
      PORT: "0",
      DATA_DIR: options.dataDir,
      LOG_LEVEL: "warn",
      RATE_LIMIT_SCALE: "0",
      NO_COLOR: "1",
      ...options.env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

  let written = "";
  const announced = Promise.withResolvers<string>();
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    for await (
      const line of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    ) {
      written += `${line}\n`;
      const url = /https?:\/\/127\.0\.0\.1:\d+/.exec(line);
      if (url) announced.resolve(url[0]);
    }
  };
  const reading = Promise.all([listen(child.stdout), listen(child.stderr)]);
  const gone = child.status.then(async (status) => {
    await reading;
    return status;
  });
  const signal = (name: Deno.Signal) => {
    try {
      child.kill(name);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has exited already.
    }
  };
  const trouble = Promise.withResolvers<never>();
  trouble.promise.catch(() => {});
  gone.then(({ code }) =>
    trouble.reject(new Error(`the server exited with ${code} before it was ready:\n${written}`))
  );
  const timer = setTimeout(
    () => trouble.reject(new Error(`the server is not ready:\n${written}`)),
    options.readyWithinMs ?? 120_000,
  );
  const settled = new AbortController();
  try {
    const baseUrl = await Promise.race([announced.promise, trouble.promise]);
    await Promise.race([untilReady(baseUrl, settled.signal), trouble.promise]);
    return {
      baseUrl,
      dataDir: options.dataDir,
      pid: child.pid,
      output: () => written,
      stop: async () => {
        signal("SIGTERM");
        return (await gone).code;
      },
      kill: async () => {
        signal("SIGKILL");
        await gone;
      },
    };
  } catch (error) {
    signal("SIGKILL");
    await gone;
    throw error;
  } finally {
    clearTimeout(timer);
    settled.abort();
  }
}

async function untilReady(baseUrl: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const response = await fetch(`${baseUrl}/readyz`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs `work` against a fresh server on an empty folder; both are gone afterwards. */
export async function withServer(
  work: (server: RunningServer) => Promise<void>,
  env: Record<string, string> = {},
): Promise<void> {
  await withDataDir(async (dataDir) => {
    const server = await startServer({ dataDir, env });
    try {
      await work(server);
    } catch (error) {
      console.error(`The server wrote:\n${server.output()}`);
      throw error;
    } finally {
      await server.stop();
    }
  });
}

export async function withDataDir(work: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await Deno.makeTempDir({ prefix: "shutterlog-" });
  try {
    await work(dataDir);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

/** A port that was free a moment ago, for a server that must come back on the same one. */
export function freePort(): string {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return String(port);
}
