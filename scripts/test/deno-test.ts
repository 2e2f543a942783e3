/** What a run of `deno test` left behind. */
export interface TestRun {
  /** JUnit's XML. */
  readonly report: string;
  readonly output: string;
  readonly code: number;
}

export interface TestRunOptions {
  /** Files, folders, and whatever else `deno test` is told. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Files that run side by side. */
  readonly jobs: number;
  /** Shows what it says as it comes, or all of it at the end. */
  readonly live: boolean;
}

/** Starts `deno test`; leaked operations and resources fail a test. */
export function startTests({ args, env, jobs, live }: TestRunOptions) {
  const report = Deno.makeTempFileSync({ prefix: "shutterlog-junit-", suffix: ".xml" });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--allow-all",
      "--no-check",
      "--parallel",
      "--sanitize-ops",
      "--sanitize-resources",
      `--junit-path=${report}`,
      ...args,
    ],
    env: {
      ...env,
      DENO_JOBS: String(jobs),
      ...(!Deno.stdout.isTerminal() && { NO_COLOR: "1" }),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();

  const end = async (): Promise<TestRun> => {
    try {
      const [output, errors, { code }] = await Promise.all([
        read(child.stdout, live ? Deno.stdout : undefined),
        read(child.stderr, live ? Deno.stderr : undefined),
        child.status,
      ]);
      if (!live) {
        write(Deno.stderr, new TextEncoder().encode(errors));
        write(Deno.stdout, new TextEncoder().encode(output));
      }
      return { report: await Deno.readTextFile(report), output, code };
    } finally {
      await Deno.remove(report);
    }
  };
  return { ended: end(), kill: (signal: Deno.Signal) => child.kill(signal) };
}

interface Shown {
  writeSync(bytes: Uint8Array): number;
}

/** As text; passed on as it comes where it is to be shown. */
async function read(from: ReadableStream<Uint8Array>, to: Shown | undefined): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of from) {
    if (to) write(to, chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function write(to: Shown, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
