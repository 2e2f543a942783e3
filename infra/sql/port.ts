/** A PostgreSQL database, whoever runs it. Statements use `$1` parameters and `node-postgres` types. */
export interface Sql extends SqlQueries {
  /**
   * Runs `work` in one transaction, READ COMMITTED, and commits when it resolves; rolls back and
   * rethrows when it throws.
   */
  transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export type SqlTransaction = SqlQueries;

export interface SqlQueries {
  /**
   * One statement. `bigint` columns come as numbers (all of ours are below 2^53), `timestamptz` as
   * Date, `jsonb` parsed, `uuid` as text, arrays as arrays.
   * @throws {SqlError} with PostgreSQL's SQLSTATE.
   */
  query<Row = Record<string, unknown>>(
    text: string,
    parameters?: readonly unknown[],
  ): Promise<Row[]>;
  /** Several statements without parameters, for migrations. */
  execute(text: string): Promise<void>;
  /** COPY … FROM STDIN: `table` and `columns` as in SQL; null is NULL. Resolves to the row count. */
  copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number>;
}

/** Text as PostgreSQL reads it for the column's type; objects and arrays are not converted. */
export type CopyValue = string | number | boolean | null;

export class SqlError extends Error {
  override readonly name = "SqlError";
  /** Five characters, see PostgreSQL's appendix A; "08000" when the server could not be reached. */
  constructor(readonly code: string, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
