import { parseArgs } from "node:util";
import { countTests } from "./test/count.ts";

const help = `Runs the tests and ends with one line: N passed, N failed.

  deno task test [paths…] [--filter text]

  paths      files or folders, all when left out: deno task test infra/sql
  --filter   only tests whose name holds this text, or matches /this/
  --help     shows this

DENO_JOBS sets how many test files run side by side, 2 when unset.
Leaked operations and resources fail a test. Types are checked by deno task check, not here.`;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: { filter: { type: "string" }, help: { type: "boolean" } },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}

const report = await Deno.makeTempFile({ prefix: "shutterlog-junit-", suffix: ".xml" });
let code: number;
try {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--allow-all",
      "--no-check",
      "--parallel",
      "--sanitize-ops",
      "--sanitize-resources",
      `--junit-path=${report}`,
      ...(values.filter === undefined ? [] : [`--filter=${values.filter}`]),
      ...positionals,
    ],
    env: {
      DENO_JOBS: Deno.env.get("DENO_JOBS") ?? "2",
      ...(!Deno.stdout.isTerminal() && { NO_COLOR: "1" }),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let interrupted: number | undefined;
  const forward = { SIGINT: 130, SIGTERM: 143 } as const;
  const listeners = Object.entries(forward).map(([name, status]) => {
    const signal = name as keyof typeof forward;
    const listener = () => {
      interrupted = status;
      child.kill(signal);
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  const [output, , status] = await Promise.all([
    stream(child.stdout, Deno.stdout),
    stream(child.stderr, Deno.stderr),
    child.status,
  ]);
  for (const remove of listeners) remove();

  const counts = countTests({
    report: await Deno.readTextFile(report),
    output,
    code: interrupted ?? status.code,
  });
  if (counts.ignored > 0) console.log(`${counts.ignored} ignored`);
  for (const problem of counts.problems) console.log(problem);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  code = interrupted ?? (counts.failed > 0 ? 1 : 0);
} finally {
  await Deno.remove(report);
}
Deno.exit(code);

/** Passes everything on as it comes, and returns it as text. */
async function stream(
  from: ReadableStream<Uint8Array>,
  to: { writeSync(bytes: Uint8Array): number },
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of from) {
    for (let at = 0; at < chunk.length;) at += to.writeSync(chunk.subarray(at));
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
