import { type CopyValue, SqlError, type SqlQueries } from "../../infra/sql/port.ts";

/** Projection name → version. Not changed once made: a change of versions is another map. */
export type Versions = ReadonlyMap<string, number>;

/** The schema that holds one version of a projection. */
export function schemaOf(projection: string, version: number): string {
  return `${projection}_v${version}`;
}

const memos = new WeakMap<Versions, Map<string, string>>();

/**
 * Puts versions into a statement: `read_model.posts` becomes `read_model_v1.posts`. Results are kept
 * as long as the map of versions is, so statements must be constants and carry values as parameters.
 */
export function versioned(text: string, versions: Versions): string {
  if (versions.size === 0) return text;
  let memo = memos.get(versions);
  if (!memo) memos.set(versions, memo = new Map());
  let result = memo.get(text);
  if (result === undefined) {
    const names = new RegExp(`(?<![\\w.])(${[...versions.keys()].join("|")})\\.`, "g");
    result = text.replace(names, (_, name) => `${schemaOf(name, versions.get(name) ?? 0)}.`);
    memo.set(text, result);
  }
  return result;
}

/** The same database, its statements versioned. */
export function atVersions(queries: SqlQueries, versions: Versions): SqlQueries {
  return {
    query: (text, parameters) => queries.query(versioned(text, versions), parameters),
    execute: (text) => queries.execute(versioned(text, versions)),
    copy: (table, columns, rows) => queries.copy(versioned(table, versions), columns, rows),
  };
}

/** How old, in milliseconds, the pointer may be that a query follows. */
const pointerAge = 1000;

/** SQLSTATEs of a table or schema that is not there: what a pointer to a dropped version leads to. */
const missing = new Set(["42P01", "3F000"]);

/**
 * Queries that follow `projections.live`: statements name the unversioned schemas and are answered
 * by the version that is live, at most a second after it became so.
 */
export class LiveSql implements SqlQueries {
  readonly #sql: SqlQueries;
  readonly #clock: () => number;
  #current: { versions: Versions; readAt: number } | undefined;
  #refreshing: Promise<Versions> | undefined;

  constructor(sql: SqlQueries, clock: () => number = () => performance.now()) {
    this.#sql = sql;
    this.#clock = clock;
  }

  query<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]> {
    return this.#follow((versions) => this.#sql.query<Row>(versioned(text, versions), parameters));
  }

  execute(text: string): Promise<void> {
    return this.#follow((versions) => this.#sql.execute(versioned(text, versions)));
  }

  copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number> {
    return this.#follow((versions) => this.#sql.copy(versioned(table, versions), columns, rows));
  }

  /** Reads the pointer now. Callers at the same time share one reading. */
  refresh(): Promise<Versions> {
    return this.#refreshing ??= this.#read().finally(() => this.#refreshing = undefined);
  }

  async #read(): Promise<Versions> {
    const readAt = this.#clock();
    const rows = await this.#sql.query<{ projection: string; version: number }>(
      "SELECT projection, version FROM projections.live ORDER BY projection",
    );
    const before = this.#current?.versions;
    const same = before?.size === rows.length &&
      rows.every(({ projection, version }) => before.get(projection) === version);
    const versions = same
      ? before
      : new Map(rows.map(({ projection, version }) => [projection, version]));
    this.#current = { versions, readAt };
    return versions;
  }

  async #follow<T>(run: (versions: Versions) => Promise<T>): Promise<T> {
    const current = this.#current;
    const fresh = current !== undefined && this.#clock() - current.readAt < pointerAge;
    const versions = fresh ? current.versions : await this.refresh();
    try {
      return await run(versions);
    } catch (error) {
      if (!(error instanceof SqlError) || !missing.has(error.code)) throw error;
      const now = await this.refresh();
      if (now === versions) throw error;
      return await run(now);
    }
  }
}
