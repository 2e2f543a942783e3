import { type Column, type EventTable } from "./columns.ts";
import { name, quote } from "./duckdb.ts";

/** A kind of file that a table's rows are kept in: how DuckDB reads and writes it. */
export interface Format {
  readonly file: string;
  /** How a column is kept; nested ones are JSON text where the format has nothing nested. */
  columnType(column: Column): string;
  /** What stands behind FROM. */
  read(files: readonly string[], table: EventTable): string;
  /** What stands behind COPY … TO file. */
  readonly write: string;
}

const timestamps = "TIMESTAMPFORMAT '%Y-%m-%dT%H:%M:%S.%gZ'";

export type FormatName = "parquet" | "ndjson" | "csv";

export const formats: Readonly<Record<FormatName, Format>> = {
  parquet: {
    file: "events.parquet",
    columnType: ({ type }) => type,
    read: (files) => `read_parquet(${list(files)}, hive_partitioning = false, filename = true)`,
    write: "(FORMAT parquet, COMPRESSION zstd)",
  },
  ndjson: {
    file: "events.ndjson",
    columnType: ({ type }) => type,
    read: (files, table) => readJson(files, table, ({ type }) => type),
    write: `(FORMAT json, ${timestamps})`,
  },
  csv: {
    file: "events.csv",
    columnType: flatType,
    // What is NULL is left empty, and an empty text stands in quotes.
    read: (files, table) =>
      `read_csv(${list(files)}, columns = ${struct(table, flatType)}, header = true, delim = ',',
        quote = '"', escape = '"', allow_quoted_nulls = false, hive_partitioning = false,
        filename = true)`,
    write: `(FORMAT csv, HEADER true, FORCE_QUOTE *, ${timestamps})`,
  },
};

/** Rows as `toRow` writes them. */
export function readJson(
  files: readonly string[],
  table: EventTable,
  columnType: (column: Column) => string,
): string {
  return `read_json(${list(files)}, format = 'newline_delimited', hive_partitioning = false,
    filename = true, columns = ${struct(table, columnType)})`;
}

function flatType({ type }: Column): string {
  return /^(STRUCT|MAP)|\[\]$/.test(type) ? "JSON" : type;
}

function list(files: readonly string[]): string {
  return `[${files.map(quote).join(", ")}]`;
}

function struct({ columns }: EventTable, columnType: (column: Column) => string): string {
  return `{${columns.map((column) => `${name(column.name)}: ${quote(columnType(column))}`)}}`;
}
