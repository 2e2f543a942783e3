/** What analysts wait for: replay, export and the ready views, over logs of a known size. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureTopics } from "../../apps/projector/topics.ts";
import { foldersIn } from "../../infra/config/folders.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openSqliteIdentity } from "../../infra/identity/sqlite.ts";
import { Progress, table } from "../client/terminal.ts";
import { openAnalysis } from "../events/analysis.ts";
import { eventsView, readyViews, stateViews } from "../events/views.ts";
import { writeSynthetic } from "./million.ts";

const help = `Usage: deno task bench events [--events 100000,1000000] [--seed 1] [--json]

Writes logs of so many synthetic events to the embedded engines, and measures on each, in a process of its
own: a replay, a first export to Parquet, one of nothing new; then in this process, three times each, all rows
of the ready views of deno task events query, and a count of the others. Memory is the most that the process
had.`;

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "100000,1000000" },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}

interface Measured {
  readonly seconds: number;
  readonly mebibytes: number;
}

const script = new URL("../events.ts", import.meta.url).pathname;
const results = [];
for (const count of values.events.split(",").map(Number)) {
  const dataDir = await Deno.makeTempDir({ prefix: "shutterlog-bench-" });
  try {
    await write(dataDir, count);
    const folder = join(dataDir, "export");
    const replay = await measured(dataDir, ["replay"]);
    const exported = await measured(dataDir, ["export", "--to", folder]);
    const again = await measured(dataDir, ["export", "--to", folder]);
    results.push({ count, replay, export: exported, again, views: await views(folder) });
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}
if (values.json) console.log(JSON.stringify(results));
else {
  for (const { count, replay, export: exported, again, views } of results) {
    const line = (what: string, { seconds, mebibytes }: Measured) => [
      what,
      `${seconds.toFixed(1)} s`,
      `${Math.round(count / seconds)} events/s`,
      `${Math.round(mebibytes)} MiB`,
    ];
    console.log(`${count} events\n`);
    console.log(table([
      line("replay", replay),
      line("first export", exported),
      [
        ...line("export of nothing new", again).slice(0, 2),
        "",
        `${Math.round(again.mebibytes)} MiB`,
      ],
    ]));
    console.log();
    console.log(table([
      ["view", "rows", "median", "slowest"],
      ...views.map(({ name, rows, ms }) => [
        name,
        rows,
        `${Math.round(ms[1] ?? NaN)} ms`,
        `${Math.round(ms[2] ?? NaN)} ms`,
      ]),
    ]));
    console.log();
  }
}

async function write(dataDir: string, count: number): Promise<void> {
  const { logFile, identityFile } = foldersIn(dataDir);
  const log = await openSqliteLog({ path: logFile });
  const identity = await openSqliteIdentity({ path: identityFile });
  const bar = new Progress("writing", count);
  await ensureTopics(log);
  await writeSynthetic(log, {
    ...{ seed: Number(values.seed), count, identity },
    onWritten: (written) => bar.step(written),
  });
  bar.finish();
  await log.close();
  await identity.closeStore();
}

async function measured(dataDir: string, args: string[]): Promise<Measured> {
  const began = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    env: { DATA_DIR: dataDir, KAFKA_BROKERS: "", NO_COLOR: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let kibibytes = 0;
  const watching = setInterval(() => {
    const status = readStatus(child.pid);
    kibibytes = Math.max(kibibytes, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
  }, 50);
  for await (const _ of child.stdout);
  const { code } = await child.status;
  clearInterval(watching);
  if (code !== 0) throw new Error(`events ${args.join(" ")} ended with ${code}`);
  return { seconds: (performance.now() - began) / 1000, mebibytes: kibibytes / 1024 };
}

/** Empty where there is no `/proc`, and once the process has gone. */
function readStatus(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/status`);
  } catch {
    return "";
  }
}

async function views(folder: string) {
  const analysis = await openAnalysis({ folder });
  const measured = [];
  const questions = [
    ...readyViews.map(({ name }) => ({ name, sql: `FROM ${name}` })),
    ...[...stateViews, eventsView].map(({ name }) => ({
      name: `count of ${name}`,
      sql: `SELECT count(*) FROM ${name}`,
    })),
  ];
  for (const { name, sql } of questions) {
    const ms: number[] = [];
    let rows = 0;
    for (let time = 0; time < 3; time++) {
      const began = performance.now();
      rows = (await analysis.ask(sql)).rows.length;
      ms.push(performance.now() - began);
    }
    measured.push({ name, rows, ms: ms.sort((a, b) => a - b) });
  }
  await analysis.close();
  return measured;
}
