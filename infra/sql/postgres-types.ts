import pg from "pg";

/** Ids of types, which are the same in every PostgreSQL (pg_type.dat in its sources). */
const int8 = 20;
const int8Array = 1016;

/** How columns come, where it differs from node-postgres: `bigint` as a number, in arrays too. */
export const columnTypes = new pg.TypeOverrides();
columnTypes.setTypeParser(int8, Number);
columnTypes.setTypeParser(
  int8Array,
  (text: string) => JSON.parse(`[${text.slice(1, -1).replaceAll("NULL", "null")}]`),
);
