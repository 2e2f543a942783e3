import { join, resolve } from "node:path";
import { DuckDBTypeId, type Json, StatementType } from "@duckdb/node-api";
import { Refused } from "../client/terminal.ts";
import { eventTables } from "./columns.ts";
import { name, openDuckDb } from "./duckdb.ts";
import { filesOf } from "./exporter.ts";
import { formats } from "./formats.ts";
import { eventsView, eventView, readyViews, stateViews } from "./views.ts";

export interface Answer {
  readonly columns: readonly string[];
  /** Values as JSON has them; times in RFC 3339, integers beyond 2^53 as text. */
  readonly rows: readonly (readonly unknown[])[];
}

export interface Analysis {
  /** @throws {Refused} for what is no single SELECT, and with DuckDB's words for what it cannot do. */
  ask(sql: string, parameters?: readonly string[]): Promise<Answer>;
  /** Ends what is being asked: `ask` rejects. */
  interrupt(): void;
  close(): Promise<void>;
}

/**
 * SQL over an export in Parquet, with the views of `views.ts`.
 *
 * What is asked may be anybody's: it reads the export and nothing else. It must be one SELECT, and
 * DuckDB itself is shut: no file outside the folder, no network, no extension, no way to change that.
 *
 * @param options.at what happened after it, milliseconds since the epoch, is not there
 */
export async function openAnalysis(options: { folder: string; at?: number }): Promise<Analysis> {
  const folder = resolve(options.folder);
  const duckdb = await openDuckDb({ spill: join(folder, `.spill-${crypto.randomUUID()}`) });
  const { connection } = duckdb;
  try {
    for (const table of eventTables) {
      const files = await filesOf(table, folder, formats.parquet);
      await connection.run(eventView(table, files, options.at));
    }
    for (const view of [eventsView, ...stateViews, ...readyViews]) {
      await connection.run(`CREATE VIEW ${name(view.name)} AS ${view.sql}`);
    }
    await duckdb.seal(folder);
  } catch (error) {
    await duckdb.close();
    throw error;
  }
  return {
    async ask(sql, parameters = []) {
      try {
        // An empty one is no error to DuckDB's parser, and none that the binding can put in words.
        const statements = sql.trim() && await connection.extractStatements(sql);
        if (!statements || statements.count !== 1) throw new Refused("ask one question at a time");
        const statement = await statements.prepare(0);
        const { SELECT, EXPLAIN } = StatementType;
        if (statement.statementType !== SELECT && statement.statementType !== EXPLAIN) {
          throw new Refused("only a SELECT is answered: the log is not changed by questions");
        }
        parameters.forEach((value, nth) => statement.bindVarchar(nth + 1, value));
        const answer = await statement.runAndReadAll();
        const types = answer.columnTypes().map(({ typeId }) => typeId);
        const rows = answer.getRowsJson();
        for (const row of rows) row.forEach((value, nth) => row[nth] = plain(value, types[nth]));
        return { columns: answer.deduplicatedColumnNames(), rows };
      } catch (error) {
        if (error instanceof Refused || !(error instanceof Error)) throw error;
        throw new Refused(error.message);
      }
    },
    interrupt: () => connection.interrupt(),
    close: () => duckdb.close(),
  };
}

const integers: readonly (DuckDBTypeId | undefined)[] = [
  DuckDBTypeId.BIGINT,
  DuckDBTypeId.UBIGINT,
  DuckDBTypeId.HUGEINT,
];

function plain(value: Json, type: DuckDBTypeId | undefined): Json {
  if (typeof value !== "string") return value;
  if (type === DuckDBTypeId.TIMESTAMP) return `${value.replace(" ", "T")}Z`;
  const number = integers.includes(type) ? Number(value) : NaN;
  return Number.isSafeInteger(number) ? number : value;
}
