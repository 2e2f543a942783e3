import type { SqlQueries } from "../../infra/sql/port.ts";
import { schemaOf } from "./live-schemas.ts";
import type { Told } from "./projection.ts";

/** A row that two versions of a projection do not have alike. */
export interface RowDifference {
  readonly table: string;
  /** The values of its primary key, as text. */
  readonly key: readonly string[];
  /** The whole row as text; null where there is none. */
  readonly before: string | null;
  readonly after: string | null;
}

/** Differing rows of one table that are looked at once more; more than these are a table gone wrong. */
const mostPerTable = 1_000;

interface Table {
  readonly name: string;
  readonly key: readonly string[];
  /** Of the key's columns. */
  readonly types: readonly string[];
}

/**
 * The rows that two versions of a transactional projection do not have alike, at most a thousand of a
 * table. Nothing is locked and each table is read at its own moment, so rows that were being written
 * are among them: see `stillDiffering`.
 */
export async function compareVersions(
  sql: SqlQueries,
  name: string,
  [before, after]: readonly [number, number],
  { signal, onStep }: Told,
): Promise<RowDifference[]> {
  const tables = await tablesOf(sql, schemaOf(name, after));
  const differences: RowDifference[] = [];
  for (const [nth, table] of tables.entries()) {
    signal.throwIfAborted();
    onStep({ what: "comparing", done: nth, of: tables.length });
    const rows = await sql.query<{ key: string[]; before: string | null; after: string | null }>(
      `SELECT ARRAY[${keyText(table)}] AS key, b::text AS before, a::text AS after
       FROM ${schemaOf(name, before)}.${table.name} AS b
       FULL JOIN ${schemaOf(name, after)}.${table.name} AS a USING (${table.key.join(", ")})
       WHERE b::text IS DISTINCT FROM a::text
       LIMIT ${mostPerTable}`,
    );
    differences.push(...rows.map((row) => ({ table: table.name, ...row })));
  }
  onStep({ what: "comparing", done: tables.length, of: tables.length });
  return differences;
}

/** Those of the differences that are there now, by a look at each of their keys. */
export async function stillDiffering(
  sql: SqlQueries,
  name: string,
  versions: readonly [number, number],
  differences: readonly RowDifference[],
): Promise<RowDifference[]> {
  const still: RowDifference[] = [];
  const tables = await tablesOf(sql, schemaOf(name, versions[1]));
  for (const [tableName, rows] of Map.groupBy(differences, ({ table }) => table)) {
    const table = tables.find(({ name }) => name === tableName);
    if (!table) continue;
    const found = await sql.query<{ key: string[]; before: string | null; after: string | null }>(
      `WITH wanted AS (
         SELECT ${table.key.map((column, n) => `(k ->> ${n})::${table.types[n]} AS ${column}`)}
         FROM jsonb_array_elements($1::jsonb) AS k
       )
       SELECT ARRAY[${keyText(table)}] AS key, b::text AS before, a::text AS after
       FROM wanted
       LEFT JOIN ${schemaOf(name, versions[0])}.${table.name} AS b USING (${table.key.join(", ")})
       LEFT JOIN ${schemaOf(name, versions[1])}.${table.name} AS a USING (${table.key.join(", ")})
       WHERE b::text IS DISTINCT FROM a::text`,
      [JSON.stringify(rows.map(({ key }) => key))],
    );
    still.push(...found.map((row) => ({ table: tableName, ...row })));
  }
  return still;
}

function keyText({ key }: Table): string {
  return key.map((column) => `${column}::text`).join(", ");
}

/** Every table that holds rows itself, partitions one by one, with its primary key. */
async function tablesOf(sql: SqlQueries, schema: string): Promise<Table[]> {
  return await sql.query<Table>(
    `SELECT c.relname AS name, array_agg(a.attname::text ORDER BY k.nth) AS key,
       array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.nth) AS types
     FROM pg_class AS c
     JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
     CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, nth)
     JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
     WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r'
     GROUP BY c.relname ORDER BY c.relname`,
    [schema],
  );
}
