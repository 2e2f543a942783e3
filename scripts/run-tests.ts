import { parseArgs } from "node:util";
import type { Missing } from "./stack/available.ts";
import type { ServersForTests } from "./stack/for-tests.ts";
import { countTests } from "./test/count.ts";
import type { PgliteImage } from "./test/pglite-image.ts";
import { startTests } from "./test/deno-test.ts";
import { testFiles } from "./test/files.ts";

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
DENO_JOBS sets how many test files run side by side, 2 when unset; those that mostly wait for servers
that fail run beside them, and are shown at their end.
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

/** One after the other beside all the others, since they wait for timeouts most of the time. */
const aside = [
  "infra/event-log/kafka_faults_test.ts",
  "infra/sql/postgres_faults_test.ts",
  "infra/card-cache/redis_fault_test.ts",
  "infra/feed-cache/redis_fault_test.ts",
  "infra/feed-cache/redis_failover_test.ts",
  "apps/queries/cards/redis_fault_test.ts",
];

const ci = Deno.env.get("CI") === "true";
const withServers = values.servers ?? positionals.length === 0;
let leftOut: readonly Missing[] = [];
let servers: ServersForTests | undefined;
let image: PgliteImage | undefined;
/** What a few files do not repay, nor who does without the servers. */
const preparing = withServers && positionals.length === 0
  ? import("./test/pglite-image.ts").then(async ({ makeImage }) => image = await makeImage())
  : undefined;
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
    await giveUp(error);
  }
  console.log(`they are ready after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}

await preparing?.catch(giveUp);

const filter = values.filter === undefined ? [] : [`--filter=${values.filter}`];
const env = { ...servers?.env, ...image?.env };
const jobs = Number(Deno.env.get("DENO_JOBS") ?? "2");
let code: number;
try {
  const running = servers && positionals.length === 0
    ? [
      startTests({ args: [...filter, ...await mostFiles()], env, jobs, live: true }),
      startTests({ args: [...filter, ...aside], env, jobs: 1, live: false }),
    ]
    : [startTests({ args: [...filter, ...positionals], env, jobs, live: true })];
  let interrupted: number | undefined;
  const forward = { SIGINT: 130, SIGTERM: 143 } as const;
  const listeners = Object.entries(forward).map(([name, status]) => {
    const signal = name as keyof typeof forward;
    const listener = () => {
      interrupted = status;
      for (const run of running) run.kill(signal);
    };
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  const runs = await Promise.all(running.map(({ ended }) => ended));
  for (const remove of listeners) remove();

  const counts = countTests(runs.map((run) => ({ ...run, code: interrupted ?? run.code })));
  if (counts.ignored > 0) console.log(`${counts.ignored} ignored`);
  for (const problem of counts.problems) console.log(problem);
  if (leftOut.length > 0) tellLeftOut(leftOut);
  const failed = counts.failed + (ci ? leftOut.length : 0);
  console.log(`${counts.passed} passed, ${failed} failed`);
  code = interrupted ?? (failed > 0 ? 1 : 0);
} finally {
  await image?.remove();
  await servers?.stop();
}
Deno.exit(code);

async function giveUp(error: unknown): Promise<never> {
  console.error(error instanceof Error ? error.message : error);
  await preparing?.catch(() => {});
  await image?.remove();
  await servers?.stop();
  console.log("0 passed, 1 failed");
  Deno.exit(1);
}

/** All but those aside, one by one: beside a file that is named, `deno test` leaves out nothing. */
async function mostFiles(): Promise<string[]> {
  const files = await Array.fromAsync(testFiles("."));
  return [...first, ...files.filter((file) => ![...first, ...aside].includes(file)).sort()];
}

function tellLeftOut(missing: readonly Missing[]): void {
  const names = missing.map(({ name }) => name).join(", ");
  console.log(`left out, for want of ${names}: the tests that need it`);
  console.log("all of it comes by: deno task stack install --for-tests");
}
