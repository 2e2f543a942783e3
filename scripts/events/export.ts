import { join } from "node:path";
import { parseArgs } from "node:util";
import { Progress, Refused } from "../client/terminal.ts";
import { exportLog } from "./exporter.ts";
import { type FormatName, formats } from "./formats.ts";
import { openSource } from "./source.ts";

const help = `Keeps the log as files: one for each type and day.

  deno task events export [--format parquet] [--to DIR]

  --format F   parquet (when left out), ndjson or csv
  --to DIR     DATA_DIR/export-FORMAT when left out
  --json       tells what was done in JSON
  --help       shows this

  DIR/type=PostCreated/day=2026-11-22/events.parquet     days are in UTC
  DIR/manifest.json                                      up to which offset of each partition

A row is an event: id, time (UTC), topic, partition, "offset", and the fields of its data as typed columns.
"present" names those of the fields that may be left out that were not. CSV has JSON in nested columns.

Again, into the same folder, it writes what has come since. Killed at any instant, it goes on from its
last batch. Files become visible whole, by a rename. An event that the log holds twice, as a retry may leave
it, is exported once.

Text is in clear: keep the folder as you keep the keys. Where an account has closed since the last export, the
files that hold its text are written anew without it, which is then NULL. So export again, often enough,
for as long as you keep the folder; copies that you have made of it are yours to mend.`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      format: { type: "string", default: "parquet" },
      to: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const format = formatIn(values.format);
  const source = await openSource();
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  Deno.addSignalListener("SIGINT", stop);
  try {
    const folder = values.to ?? join(source.dataDir, `export-${format}`);
    const bars: Progress[] = [];
    const { events, files, erased } = await exportLog(source, {
      folder,
      format,
      signal: stopped.signal,
      onBegin: (events) => bars.push(new Progress("export", events)),
      onEvents: (count) => bars[0]?.step(count),
    });
    bars[0]?.finish();
    if (values.json) console.log(JSON.stringify({ folder, events, files, erased }));
    else {
      console.log(
        `${events} events to ${folder}, ${files} files written` +
          (erased.accounts > 0
            ? `; ${erased.accounts} accounts closed, their text taken from ${erased.files} files`
            : ""),
      );
    }
    return 0;
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    console.error("\nStopped. The same command goes on from here.");
    return 130;
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
    await source.close();
  }
}

function formatIn(text: string): FormatName {
  if (Object.hasOwn(formats, text)) return text as FormatName;
  throw new Refused(`--format takes ${Object.keys(formats).join(", ")}, not ${text}`);
}
