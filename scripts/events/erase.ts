import type { Column, EventTable } from "./columns.ts";
import { type DuckDBConnection, name, quote } from "./duckdb.ts";
import type { Format } from "./formats.ts";

/**
 * Writes those files anew that hold text of these accounts, without it. What is not theirs stays as it
 * is, in the same order. Doing it again changes nothing. Resolves to how many it were.
 */
export async function erase(
  table: EventTable,
  files: readonly string[],
  accounts: readonly string[],
  how: {
    readonly connection: DuckDBConnection;
    readonly format: Format;
    /** A path on the same file system, to be renamed from. */
    readonly written: string;
  },
): Promise<number> {
  const { connection, format, written } = how;
  if (table.owner === undefined || files.length === 0) return 0;
  const theirs = `${name(table.owner)} IN (${accounts.map((id) => `${quote(id)}::UUID`)})`;
  const personal = table.columns.filter((column) => table.personal.includes(column.name));
  const holding = await connection.runAndReadAll(
    `SELECT DISTINCT filename FROM ${format.read(files, table)}
     WHERE ${theirs} AND (${personal.map(holdsText).join(" OR ")}) ORDER BY filename`,
  );
  for (const [file] of holding.getRowsJson()) {
    const path = String(file);
    const columns = table.columns.map((column) =>
      personal.includes(column)
        ? `CASE WHEN ${theirs} THEN ${removed(column, format)} ELSE ${name(column.name)} END AS ${
          name(column.name)
        }`
        : name(column.name)
    );
    await connection.run(
      `COPY (SELECT ${columns.join(", ")} FROM ${format.read([path], table)}
       ORDER BY time, partition, "offset") TO ${quote(written)} ${format.write}`,
    );
    await Deno.rename(written, path);
  }
  return holding.currentRowCount;
}

/** The condition that a column of text holds any: a map does when any of its values is not NULL. */
function holdsText(column: Column): string {
  return isMap(column)
    ? `len(list_filter(map_values(${asMap(column)}), lambda text: text IS NOT NULL)) > 0`
    : `${name(column.name)} IS NOT NULL`;
}

/** A removed text is NULL; of a map the keys stay, being ids. */
function removed(column: Column, format: Format): string {
  if (!isMap(column)) return "NULL";
  const keys = `map_keys(${asMap(column)})`;
  const emptied = `map(${keys}, list_transform(${keys}, lambda key: NULL::VARCHAR))`;
  return format.columnType(column) === "JSON" ? `to_json(${emptied})` : emptied;
}

function isMap({ type }: Column): boolean {
  return type.startsWith("MAP");
}

function asMap(column: Column): string {
  return `${name(column.name)}::${column.type}`;
}
