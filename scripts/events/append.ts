import { parseArgs } from "node:util";
import { ensureTopics } from "../../apps/projector/topics.ts";
import { topics } from "../../domain/event.ts";
import { loadConfig, loadNetworkedConfig } from "../../infra/config/config.ts";
import { foldersIn } from "../../infra/config/folders.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import type { Identity } from "../../infra/identity/port.ts";
import { openSqliteIdentity } from "../../infra/identity/sqlite.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { TextLineStream } from "../end-to-end/lines.ts";
import { Refused } from "../client/terminal.ts";
import { BadLine, fromLine, type Line } from "./cloud-event.ts";
import { Importer } from "./importer.ts";
import { merged } from "./merge.ts";
import { startsOf } from "./replay.ts";

const help = `Appends lines of a replay, read from standard input, to an empty instance.

  deno task -q events replay | DATA_DIR=copy deno task -q events append

  --force   the instance may hold events: those it has already, by their ids, are passed over. So what
            was broken off is taken up again by the same command with --force
  --json    tells how it ended in JSON
  --help    shows this

Ids and times stay. Text is sealed under fresh keys of this instance; text that was removed stays
removed. Events of one aggregate keep their order. Every line is checked against the schemas first, and
the first wrong one ends it with 1 and its number: what stood before it has been appended.

Handles are reserved here. Passwords are not in a log, so nobody can sign in as an account that came
this way until an operator has given it credentials, in the store of identities. A closed account's handle is
removed text: it is free here, unlike where it came from.

Photographs are not in a log either: copy objects/ (the bucket) before the instance is started. It would
take variants without their original for what a purge has left behind, and remove them.`;

/** Lines validated and appended at a time. */
const batchSize = 1_000;

export async function run(args: string[]): Promise<number> {
  const { values: { force, json, help: helped } } = parseArgs({
    args,
    options: {
      force: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (helped) {
    console.log(help);
    return 0;
  }
  const target = await openTarget();
  try {
    const known = await knownIds(target.log, force);
    const importer = new Importer({ ...target, logger: silentLogger, known });
    let read = 0;
    const terminal = Deno.stderr.isTerminal();
    try {
      for await (const lines of batches(Deno.stdin.readable)) {
        await importer.append(lines);
        read = lines.at(-1)?.number ?? read;
        if (terminal) write(`\r\x1b[K${read} lines`);
        else if (read % 100_000 === 0) write(`${read} lines\n`);
      }
      const done = importer.finish();
      if (terminal) write("\n");
      if (json) console.log(JSON.stringify(done));
      else {
        console.error(
          `${done.appended} events appended` +
            (done.known > 0 ? `, ${done.known} were there already` : ""),
        );
      }
      return 0;
    } catch (error) {
      if (!(error instanceof BadLine)) throw error;
      if (terminal) write("\n");
      if (json) console.log(JSON.stringify({ line: error.line, error: error.message }));
      else console.error(error.message);
      return 1;
    } finally {
      await importer.stop();
    }
  } finally {
    await target.close();
  }
}

interface Target {
  readonly log: EventLog;
  readonly identity: Identity;
  close(): Promise<void>;
}

async function openTarget(): Promise<Target> {
  if (Deno.env.get("KAFKA_BROKERS")) {
    // Loaded when needed: their clients take longer to load than most questions to answer.
    const { NetworkedEngines } = await import("../../infra/config/networked.ts");
    const engines = new NetworkedEngines(loadNetworkedConfig(), silentLogger);
    try {
      const log = await engines.log();
      await ensureTopics(log);
      const { identity } = await engines.identity();
      return { log, identity, close: () => engines.close() };
    } catch (error) {
      await engines.close();
      throw error;
    }
  }
  const { folders, logFile, identityFile } = foldersIn(loadConfig().DATA_DIR);
  for (const folder of [folders.log, folders.identity]) {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  }
  const log = await openSqliteLog({ path: logFile });
  await ensureTopics(log);
  const identity = await openSqliteIdentity({ path: identityFile });
  return {
    log,
    identity,
    async close() {
      await log.close();
      await identity.closeStore();
    },
  };
}

/** Ids of what the log holds. @throws {Refused} when it holds anything and was not to. */
async function knownIds(log: EventLog, force: boolean): Promise<ReadonlySet<string>> {
  const known = new Set<string>();
  const starts = await startsOf(log, topics);
  if (starts.every(({ records }) => records === 0)) return known;
  if (!force) {
    throw new Refused(
      "this instance holds events already: name an empty one with DATA_DIR, or say --force to add to it",
    );
  }
  for await (const records of merged(log, starts)) {
    for (const { headers } of records) known.add(headers.ce_id ?? "");
  }
  return known;
}

/** Lines as they are read, checked; blank ones are passed over. What stands before a bad one comes first. */
async function* batches(input: ReadableStream<Uint8Array>): AsyncGenerator<Line[]> {
  const texts = input.pipeThrough(new TextDecoderStream("utf-8", { fatal: true }))
    .pipeThrough(new TextLineStream());
  let lines: Line[] = [];
  let number = 0;
  for await (const text of texts) {
    number++;
    if (text.trim() === "") continue;
    try {
      lines.push(fromLine(text, number));
    } catch (error) {
      yield lines;
      throw error;
    }
    if (lines.length < batchSize) continue;
    yield lines;
    lines = [];
  }
  yield lines;
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
