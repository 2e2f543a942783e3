import { join } from "node:path";
import { topics } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { decodeEvent } from "../../infra/event-log/codec.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { Refused } from "../client/terminal.ts";
import { type EventTable, eventTables, tableFor, toRow } from "./columns.ts";
import { type DuckDBConnection, name, openDuckDb, quote } from "./duckdb.ts";
import { erase } from "./erase.ts";
import { type Format, type FormatName, formats, readJson } from "./formats.ts";
import {
  emptyManifest,
  type Manifest,
  OtherShape,
  readManifest,
  writeManifest,
} from "./manifest.ts";
import { merged, type Start } from "./merge.ts";
import { startsOf, unreadable } from "./replay.ts";
import type { Source } from "./source.ts";

/** Events after which files are written and the manifest with them: what a kill may cost. */
const batchSize = 100_000;

export interface Exported {
  /** That have come since the last time. */
  readonly events: number;
  /** Files that are new, or written anew. */
  readonly files: number;
  /** Accounts that have closed, and files from which their text was taken. */
  readonly erased: { readonly accounts: number; readonly files: number };
}

export interface ExportOptions {
  readonly folder: string;
  readonly format: FormatName;
  readonly signal?: AbortSignal;
  /** Of an export that cannot be added to, a new one is made. For a cache. */
  readonly anew?: boolean;
  onBegin?(events: number): void;
  onEvents?(count: number): void;
}

/**
 * Brings a folder of files up to the log: one file for each type and day, `type=PostLiked/day=2026-11-22/`.
 *
 * Invariants, after a kill at any instant too:
 * - A file is whole: it is written aside and renamed into place.
 * - A file holds an event once, at its first offset, though the log may hold it twice; both have the
 *   same time, and so the same file.
 * - What the manifest says is in the files. What they hold beyond it is replaced by the next run, which
 *   reads it from the log again.
 * - Text of an account whose closing the log tells of, or is about to, is in none of the files when
 *   this has ended. The accounts are in the manifest until then.
 *
 * @throws {Refused} when the folder holds the export of another log, or somebody else writes to it.
 */
export async function exportLog(source: Source, options: ExportOptions): Promise<Exported> {
  const { folder } = options;
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  using lock = await Deno.open(join(folder, ".lock"), { create: true, write: true });
  if (!await lock.tryLock(true)) throw new Refused(`another process is exporting to ${folder}`);
  const staging = join(folder, ".staging");
  await remove(staging);
  await Deno.mkdir(staging, { mode: 0o700 });
  const duckdb = await openDuckDb({ spill: join(staging, "spill") });
  try {
    return await new Exporter(source, options, duckdb.connection, staging).run();
  } finally {
    await duckdb.close();
    await remove(staging);
  }
}

/** The files of a type. */
export async function filesOf(
  { type }: EventTable,
  folder: string,
  format: Format,
): Promise<string[]> {
  const files: string[] = [];
  const days = join(folder, `type=${type}`);
  try {
    for await (const { name } of Deno.readDir(days)) files.push(join(days, name, format.file));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return files.sort();
}

/** Rows of one type and day, to be written. */
interface Batch {
  readonly table: EventTable;
  readonly day: string;
  readonly rows: string[];
}

class Exporter {
  readonly #source: Source;
  readonly #options: ExportOptions;
  readonly #format: Format;
  readonly #connection: DuckDBConnection;
  readonly #staging: string;
  #manifest: Manifest;
  readonly #batches = new Map<string, Batch>();
  /** By `topic/partition`: what follows the last event taken. */
  readonly #next: Record<string, number> = {};
  readonly #closed = new Set<string>();
  #files = 0;

  constructor(
    source: Source,
    options: ExportOptions,
    connection: DuckDBConnection,
    staging: string,
  ) {
    this.#source = source;
    this.#options = options;
    this.#format = formats[options.format];
    this.#connection = connection;
    this.#staging = staging;
    this.#manifest = emptyManifest(options.format);
  }

  async run(): Promise<Exported> {
    const { log, sealer } = this.#source;
    const { signal } = this.#options;
    const starts = await this.#begin();
    let events = 0;
    let waiting = 0;
    for await (const records of merged(log, starts, signal)) {
      const decoded = await Promise.all(
        records.map((record) =>
          decodeEvent(record, sealer).catch((error) => {
            throw unreadable(record, error);
          })
        ),
      );
      for (const [index, record] of records.entries()) {
        const event = decoded[index];
        if (event) this.#take(event, record);
      }
      events += records.length;
      waiting += records.length;
      this.#options.onEvents?.(records.length);
      if (waiting < batchSize) continue;
      await this.#flush();
      waiting = 0;
    }
    await this.#flush();
    return { events, files: this.#files, erased: await this.#erase() };
  }

  /** Where each partition is to be read from. */
  async #begin(): Promise<Start[]> {
    const { folder, format, anew } = this.#options;
    const { log } = this.#source;
    const whole = await startsOf(log, topics);
    try {
      const found = await readManifest(folder, format);
      if (found) await this.#assertSameLog(found, whole);
      if (found) this.#manifest = found;
    } catch (error) {
      if (!anew || !(error instanceof OtherShape)) throw error;
      for (const { type } of eventTables) await remove(join(folder, `type=${type}`));
      await remove(join(folder, "manifest.json"));
    }
    const starts = whole.map((start) => {
      const from = Math.max(this.#manifest.next[place(start)] ?? 0, start.from);
      return { ...start, from, records: start.from + start.records - from };
    });
    this.#options.onBegin?.(starts.reduce((sum, { records }) => sum + records, 0));
    return starts;
  }

  /** @throws {OtherShape} when the log is not the one that the files are of. */
  async #assertSameLog(
    { anchor, next }: Manifest,
    whole: readonly (Start & { readonly records: number })[],
  ): Promise<void> {
    const ahead = whole.some((start) => start.from + start.records < (next[place(start)] ?? 0));
    const found = anchor && !ahead && (await firstOf(this.#source, anchor))?.headers.ce_id;
    if (anchor && found !== anchor.id) {
      const { folder } = this.#options;
      throw new OtherShape(`${folder} holds the export of another log: name another folder`);
    }
  }

  #take(event: DomainEvent, record: LogRecord): void {
    const day = new Date(event.time).toISOString().slice(0, 10);
    const key = `${event.type}/${day}`;
    let batch = this.#batches.get(key);
    if (!batch) this.#batches.set(key, batch = { table: tableFor(event.type), day, rows: [] });
    batch.rows.push(toRow(event, record));
    this.#next[place(record)] = record.offset + 1;
    const { topic, partition } = record;
    this.#manifest.anchor ??= { topic, partition, id: event.id };
    if (event.type === "AccountClosed") this.#closed.add(event.data.accountId);
  }

  /** Writes what has been taken, then the manifest. */
  async #flush(): Promise<void> {
    if (this.#batches.size === 0) return;
    for (const batch of this.#batches.values()) await this.#write(batch);
    this.#batches.clear();
    const erasing = [...new Set([...this.#manifest.erasing, ...this.#closed])];
    await this.#commit({ next: { ...this.#manifest.next, ...this.#next }, erasing });
  }

  async #commit(changed: Partial<Manifest>): Promise<void> {
    this.#manifest = { ...this.#manifest, ...changed };
    await writeManifest(this.#options.folder, this.#manifest);
  }

  async #write({ table, day, rows }: Batch): Promise<void> {
    const folder = join(this.#options.folder, `type=${table.type}`, `day=${day}`);
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    const [added, written] = [join(this.#staging, "added"), join(this.#staging, "written")];
    const file = join(folder, this.#format.file);
    await Deno.writeTextFile(added, `${rows.join("\n")}\n`, { mode: 0o600 });
    const columns = table.columns.map((column) => name(column.name)).join(", ");
    const columnType = this.#format.columnType;
    const there = await Deno.stat(file).catch(() => undefined);
    const kept = there && `UNION ALL SELECT ${columns} FROM ${this.#format.read([file], table)}
      WHERE ${this.#exportedBefore()}`;
    await this.#connection.run(
      `COPY (
         SELECT * FROM (
           SELECT ${columns} FROM ${readJson([added], table, columnType)} ${kept ?? ""}
         )
         QUALIFY row_number() OVER (PARTITION BY id ORDER BY "offset") = 1
         ORDER BY time, partition, "offset"
       ) TO ${quote(written)} ${this.#format.write}`,
    );
    await Deno.rename(written, file);
    this.#files++;
  }

  /** The condition that a row is no leftover of a run that was broken off. */
  #exportedBefore(): string {
    const ends = Object.entries(this.#manifest.next).map(([place, next]) => `'${place}': ${next}`);
    if (ends.length === 0) return "false";
    return `"offset" < coalesce(MAP {${ends}}[topic || '/' || partition], 0)`;
  }

  async #erase(): Promise<Exported["erased"]> {
    const closed = new Set([...this.#manifest.erasing, ...await closing(this.#source)]);
    if (closed.size === 0) return { accounts: 0, files: 0 };
    const { folder } = this.#options;
    let files = 0;
    for (const table of eventTables) {
      const there = await filesOf(table, folder, this.#format);
      const written = join(this.#staging, "written");
      const draft = { connection: this.#connection, format: this.#format, written };
      files += await erase(table, there, [...closed], draft);
    }
    await this.#commit({ erasing: [] });
    return { accounts: closed.size, files };
  }
}

/** Accounts whose key is gone, while their AccountClosed is still on its way to the log. */
async function closing({ identity }: Source): Promise<string[]> {
  const rows = await identity.pendingOutbox(10_000);
  return rows.flatMap(({ record }) =>
    record.headers.ce_type?.startsWith("shutterlog.AccountClosed.") ? [record.key] : []
  );
}

async function firstOf({ log }: Source, at: { topic: string; partition: number }) {
  for await (const [record] of log.read(at, 0, { batchSize: 1 })) return record;
}

function place({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

async function remove(path: string): Promise<void> {
  await Deno.remove(path, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}
