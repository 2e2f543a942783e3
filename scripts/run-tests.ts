import { parseArgs } from "node:util";
import type { Missing } from "./stack/available.ts";
import type { ServersForTests } from "./stack/for-tests.ts";
import { countTests } from "./test/count.ts";

const help = `Runs the tests and ends with one line: N passed, N failed.

  deno task test [paths…] [--filter text] [--servers | --no-servers]

  paths          files or folders, all when left out: deno task test infra/sql
  --filter       only tests whose name holds this text, or matches /this/
  --servers      starts Kafka, PostgreSQL, Redis and an S3 server and tests against them too; without
                 paths it does so anyway, as far as they are installed
  --no-servers   tests on the embedded engines alone
  --help         shows this

What is not installed is left out and named at the end; with CI=true in the environment that is a
failure. All of it comes by deno task stack install --for-tests.
DENO_JOBS sets how many test files run side by side, 2 when unset.
Leaked operations and resources fail a test. Types are checked by deno task check, not here.`;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  allowNegative: true,
  options: {
    filter: { type: "string" },
    servers: { type: "boolean" },
    help: { type: "boolean" },
  },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}

/**
 * Begun before the others. One stack runs at a time: begun in alphabetical order this would wait,
 * beside an idle core, for rebuild-live_test.ts to be through with its own.
 */
const first = ["scripts/end-to-end/stack_test.ts"];

const ci = Deno.env.get("CI") === "true";
const withServers = values.servers ?? positionals.length === 0;
let leftOut: readonly Missing[] = [];
let servers: ServersForTests | undefined;
if (withServers) {
  // Loaded when needed: a run of a few files is to begin at once.
  const { kinds, missingFor } = await import("./stack/available.ts");
  const { startForTests } = await import("./stack/for-tests.ts");
  leftOut = await missingFor([...kinds, "tests", "monitoring"]);
  const begun = performance.now();
  console.log("starting Kafka, PostgreSQL, Redis and an S3 server for the tests");
  try {
    servers = await startForTests();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.log("0 passed, 1 failed");
    Deno.exit(1);
  }
  console.log(`they are ready after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
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
      ...(servers && positionals.length === 0 ? [...first, "."] : positionals),
    ],
    env: {
      ...servers?.env,
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
  if (leftOut.length > 0) tellLeftOut(leftOut);
  const failed = counts.failed + (ci ? leftOut.length : 0);
  console.log(`${counts.passed} passed, ${failed} failed`);
  code = interrupted ?? (failed > 0 ? 1 : 0);
} finally {
  await servers?.stop();
  await Deno.remove(report);
}
Deno.exit(code);

function tellLeftOut(missing: readonly Missing[]): void {
  const names = missing.map(({ name }) => name).join(", ");
  console.log(`left out, for want of ${names}: the tests that need it`);
  console.log("all of it comes by: deno task stack install --for-tests");
}

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
