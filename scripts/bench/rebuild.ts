/** The rebuild of the read model beside its two limits, in one run: see `help`. */
import { parseArgs } from "node:util";
import { Buffer } from "node:buffer";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { laneThreads } from "../../apps/operator/lane-threads/lane-threads.ts";
import { ensureTopics } from "../../apps/projector/topics.ts";
import { inParallel } from "../../apps/in-parallel.ts";
import { openKafkaLog } from "../../infra/event-log/kafka.ts";
import { AccountSealer } from "../../infra/identity/sealing.ts";
import { openPostgresIdentity } from "../../infra/identity/postgres.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { ensureProjection } from "../../projections/runner/control.ts";
import { define } from "../../projections/runner/projection.ts";
import { rebuild } from "../../projections/runner/rebuild.ts";
import { Progress, table } from "../client/terminal.ts";
import { startKafka } from "../stack/kafka.ts";
import { startPostgres } from "../stack/postgres.ts";
import { writeSynthetic } from "./million.ts";

const help = `Usage: deno task bench rebuild [--events 100000,1000000] [--lanes 4] [--batch 10000]

Writes so many events to a Kafka of its own, makes the read model from them in a PostgreSQL of its own,
and prints events per second beside reading the same topics and doing nothing, and beside COPY of the
same rows into the same tables, with as many lanes. The servers are ended and removed.`;

interface Scale {
  readonly lanes: number;
  readonly batchSize: number;
}

interface Where {
  readonly brokers: readonly string[];
  readonly url: string;
}

const { values } = parseArgs({
  args: Deno.args,
  options: {
    events: { type: "string", default: "100000,1000000" },
    lanes: { type: "string", default: "4" },
    batch: { type: "string", default: "10000" },
    stage: { type: "string" },
    where: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}
const scale: Scale = { lanes: Number(values.lanes), batchSize: Number(values.batch) };

/** Each stage in a process of its own, so that its memory is its own. */
const stages: Readonly<Record<string, (where: Where) => Promise<Record<string, number>>>> = {
  rebuild: async (where) => {
    const { log, sql, sealer, close } = await open(where);
    const { brokers, url } = where;
    const openLaneThread = laneThreads({
      KAFKA_BROKERS: [...brokers],
      POSTGRES_URL: url,
      CDN_BASE_URL: "https://cdn.example",
    });
    const definition = define(readModel);
    await ensureProjection(sql, log, readModel);
    const rebuilt = await rebuild(
      definition,
      { log, sql, sealer, openLaneThread, announce: () => Promise.resolve(), ...scale },
      {
        signal: new AbortController().signal,
        onStep: () => {},
      },
      () => false,
    );
    await close();
    return { records: rebuilt.records, seconds: rebuilt.seconds, peak: await peakBytes() };
  },
  read: async (where) => {
    const { log, close } = await open(where);
    const began = performance.now();
    let records = 0;
    const places = await log.watermarks(readModel.topics);
    await inParallel(places, scale.lanes, new AbortController().signal, async (place) => {
      for await (const batch of log.read(place, 0, { batchSize: scale.batchSize })) {
        records += batch.length;
      }
    });
    const seconds = (performance.now() - began) / 1000;
    await close();
    return { records, seconds };
  },
  copy: async ({ url }) => {
    const sql = await openPostgres({ url, statementTimeout: 3_600_000 });
    await migrate(sql, readModel.migrations, "read_model", "read_model_v9");
    const pool = new pg.Pool({ connectionString: url, max: scale.lanes });
    const { rows: tables } = await pool.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class
       WHERE relnamespace = 'read_model_v2'::regnamespace AND relkind = 'r'`,
    );
    const loaded = new Map<string, Buffer>();
    // The server writes them into its own folder, which is this program's to read.
    const { rows: [server] } = await pool.query<{ data_directory: string }>("SHOW data_directory");
    for (const { name } of tables) {
      const path = `${server?.data_directory}/${name}.copy`;
      await pool.query(`COPY read_model_v2.${name} TO '${path}'`);
      const content = await Deno.readFile(path);
      if (content.length > 0) loaded.set(name, Buffer.from(content.buffer));
      await Deno.remove(path);
    }
    const { rows: indexes } = await pool.query<{ index: string; definition: string }>(
      `SELECT indexrelid::regclass::text AS index, pg_get_indexdef(indexrelid) AS definition
       FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
       WHERE c.relnamespace = 'read_model_v9'::regnamespace AND NOT indisunique
         AND NOT c.relispartition`,
    );
    for (const { index } of indexes) await pool.query(`DROP INDEX ${index}`);
    const began = performance.now();
    const never = new AbortController().signal;
    let bytes = 0;
    await inParallel([...loaded], scale.lanes, never, async ([name, content]) => {
      const client = await pool.connect();
      await client.query("SET synchronous_commit = off");
      bytes += content.length;
      const writing = client.query(copyFrom(`COPY read_model_v9.${name} FROM STDIN`));
      await pipeline(Readable.from([content]), writing);
      client.release();
    });
    for (const { definition } of indexes) await pool.query(definition.replace(" ON ONLY ", " ON "));
    const seconds = (performance.now() - began) / 1000;
    await pool.end();
    await sql.close();
    return { bytes, seconds };
  },
};

async function open({ brokers, url }: Where) {
  const log = await openKafkaLog({
    brokers,
    replicationFactor: Math.min(3, brokers.length),
    minInsyncReplicas: 1,
    logger: silentLogger,
  });
  const sql = await openPostgres({ url, statementTimeout: 3_600_000 });
  const identity = await openPostgresIdentity(await openPostgres({ url }));
  const close = async () => {
    await log.close();
    await sql.close();
    await identity.closeStore();
  };
  return { log, sql, identity, sealer: new AccountSealer({ identity }), close };
}

/** What this process has had in memory at most. */
async function peakBytes(): Promise<number> {
  const status = await Deno.readTextFile("/proc/self/status").catch(() => "");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

async function inProcess(stage: string, where: Where): Promise<Record<string, number>> {
  const args = ["run", "-A", import.meta.filename ?? "", "--stage", stage];
  args.push("--where", JSON.stringify(where), "--lanes", values.lanes, "--batch", values.batch);
  const command = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" });
  const { success, stdout } = await command.output();
  if (!success) throw new Error(`the stage ${stage} failed`);
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "");
}

async function measure(events: number): Promise<(string | number)[]> {
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-rebuild-" });
  // PostgreSQL runs as a user of its own where this one is root.
  await Deno.chmod(folder, 0o755);
  await using started = new AsyncDisposableStack();
  started.defer(() => Deno.remove(folder, { recursive: true }));
  const kafka = await startKafka({ folder: `${folder}/kafka`, heap: "-Xms256m -Xmx512m" });
  started.defer(() => kafka.stop());
  const postgres = await startPostgres({ folder: `${folder}/postgres`, replicaPorts: [] });
  started.defer(() => postgres.stop());
  const where = { brokers: kafka.brokers.split(","), url: postgres.url };

  const { log, identity, close } = await open(where);
  await ensureTopics(log);
  const bar = new Progress("writing", events);
  let written = 0;
  await writeSynthetic(log, {
    seed: 1,
    count: events,
    identity,
    onWritten: (count) => bar.to(written += count),
  });
  bar.finish();
  await close();

  const rebuilt = await inProcess("rebuild", where);
  const read = await inProcess("read", where);
  const copied = await inProcess("copy", where);
  const records = rebuilt.records ?? 0;
  const rate = (one: Record<string, number>) => Math.round(records / (one.seconds ?? 1));
  const slower = Math.min(rate(read), rate(copied));
  return [
    records,
    rate(rebuilt),
    rate(read),
    rate(copied),
    (rate(rebuilt) / slower).toFixed(2),
    Math.round((rebuilt.peak ?? 0) / 1024 / 1024),
  ];
}

if (values.stage !== undefined) {
  const stage = stages[values.stage];
  if (!stage) throw new Error(`there is no stage ${values.stage}`);
  console.log(JSON.stringify(await stage(JSON.parse(values.where ?? "{}"))));
  Deno.exit(0);
}
const rows: (string | number)[][] = [];
for (const events of values.events.split(",")) rows.push(await measure(Number(events)));
console.log(table([
  ["events", "rebuild/s", "Kafka read/s", "COPY/s", "of the slower", "peak MiB"],
  ...rows,
]));
