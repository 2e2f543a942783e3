/** What the tests of projections share. */
import type { DomainEvent } from "../../domain/events.ts";
import { encodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog, LogRecord, NewRecord } from "../../infra/event-log/port.ts";
import { partitionOf } from "../../infra/event-log/partitioner.ts";
import type { Sql, SqlQueries } from "../../infra/sql/port.ts";
import { ensureProjection } from "./control.ts";
import { fill } from "./fill.ts";
import type { EffectProjection, Projection } from "./projection.ts";

/** Seals nothing: these tests are not about text. */
export const openSealer: TextSealer = {
  seal: (_owner, _context, text) => Promise.resolve(text),
  open: (_owner, _context, sealed) => Promise.resolve(sealed),
};

export function encodeAll(events: readonly DomainEvent[]): Promise<NewRecord[]> {
  return Promise.all(events.map((event) => encodeEvent(event, openSealer)));
}

/** A log in memory that can be read and nothing else: what an `Applier` and `ensureProjection` need. */
export class WrittenLog implements Pick<EventLog, "read" | "watermarks"> {
  /** By topic and partition, in order of offset. */
  readonly partitions: LogRecord[][] = [];
  readonly #places = new Map<string, LogRecord[]>();
  readonly #count: number;
  readonly #batchSize: number;

  /** `batchSize`: records handed out at a time, all when left out. */
  constructor(records: readonly NewRecord[], partitions: number, batchSize = Infinity) {
    this.#count = partitions;
    this.#batchSize = batchSize;
    for (const record of records) {
      const partition = partitionOf(record.key, partitions);
      const place = `${record.topic}:${partition}`;
      let written = this.#places.get(place);
      if (!written) {
        this.#places.set(place, written = []);
        this.partitions.push(written);
      }
      written.push({ ...record, partition, offset: written.length, timestamp: 0 });
    }
  }

  async *read({ topic, partition }: { topic: string; partition: number }, from: number) {
    const rest = this.#places.get(`${topic}:${partition}`)?.slice(from) ?? [];
    const size = Math.min(this.#batchSize, Math.max(1, rest.length));
    for (let at = 0; at < rest.length; at += size) {
      yield await Promise.resolve(rest.slice(at, at + size));
    }
  }

  watermarks(topics: readonly string[]) {
    return Promise.resolve(
      topics.flatMap((topic) =>
        Array.from({ length: this.#count }, (_, partition) => ({
          topic,
          partition,
          low: 0,
          high: this.#places.get(`${topic}:${partition}`)?.length ?? 0,
        }))
      ),
    );
  }
}

/** All rows of all tables of a schema as text, partitioned tables once: equal when the tables are. */
export async function dump(sql: SqlQueries, schema: string): Promise<Record<string, string[]>> {
  const tables = await sql.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class AS c
     WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     ORDER BY c.relname`,
    [schema],
  );
  const result: Record<string, string[]> = {};
  for (const { name } of tables) {
    const rows = await sql.query<{ row: string }>(
      `SELECT t::text AS row FROM ${schema}.${name} AS t ORDER BY 1`,
    );
    result[name] = rows.map(({ row }) => row);
  }
  return result;
}

/** A database whose next transaction is lost at the moment it would commit. */
export class CrashingSql implements Sql {
  readonly #sql: Sql;
  crashNext = false;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  query: Sql["query"] = (text, parameters) => this.#sql.query(text, parameters);
  execute: Sql["execute"] = (text) => this.#sql.execute(text);
  copy: Sql["copy"] = (table, columns, rows) => this.#sql.copy(table, columns, rows);
  close: Sql["close"] = () => this.#sql.close();
  transaction: Sql["transaction"] = (work) =>
    this.#sql.transaction(async (transaction) => {
      const result = await work(transaction);
      if (this.crashNext) {
        this.crashNext = false;
        throw new Crash("lost before the commit");
      }
      return result;
    });
}

export class Crash extends Error {}

/** An effect that outlives its process: the captions it saw, a line each, at the end of a file. */
export function fileEffect(path: string): EffectProjection {
  return {
    kind: "effect",
    name: "file_effect",
    version: 1,
    topics: ["posts"],
    apply: async (events) => {
      const lines = events.map(({ event }) =>
        event.type === "CaptionChanged" ? `${event.data.caption}\n` : ""
      );
      await Deno.writeTextFile(path, lines.join(""), { append: true });
    },
  };
}

/** Ready, and brought to the high watermark as it is now; resolves to the number of records passed. */
export async function catchUp(
  projection: Projection,
  { log, sql, sealer, strict, batchSize }: {
    log: EventLog;
    sql: Sql;
    sealer: TextSealer;
    strict: boolean;
    batchSize?: number;
  },
): Promise<number> {
  await ensureProjection(sql, log, projection);
  const filling = {
    log,
    sql,
    sealer,
    projection,
    strict,
    lanes: 1,
    ...(batchSize && { batchSize }),
  };
  return await fill(filling, { signal: new AbortController().signal, onStep: () => {} });
}
