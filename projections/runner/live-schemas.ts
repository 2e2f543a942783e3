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

/** What is live. Not changed once made. */
export interface Pointer {
  readonly versions: Versions;
  readonly switches: ReadonlyMap<string, Switches>;
}

/** Of one projection. */
export interface Switches {
  /** Goes up with every switch. */
  readonly count: number;
  /** Whether the last is so recent that others may still go by the pointer before it. */
  readonly recent: boolean;
}

/** How old, in milliseconds, the pointer may be that a query follows. */
const pointerAge = 1000;

/** Seconds for which what was live before a switch may still be read, and must be kept up to date. */
export const switchGrace = 5;

/** SQLSTATEs of a table or schema that is not there: what a pointer to a dropped version leads to. */
const missing = new Set(["42P01", "3F000"]);

/**
 * Queries that follow `projections.live`: statements name the unversioned schemas and are answered
 * by the version that is live, at most a second after it became so.
 */
export class LiveSql implements SqlQueries {
  readonly #sql: SqlQueries;
  readonly #clock: () => number;
  #current: { pointer: Pointer; readAt: number } | undefined;
  #refreshing: Promise<Pointer> | undefined;
  /** Counts what has made readings under way too old to go by. */
  #invalidations = 0;

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

  /** The same, but of one projection always this version. */
  pinned(projection: string, version: number): SqlQueries {
    const pinned = new WeakMap<Versions, Versions>();
    const pin = (versions: Versions): Versions => {
      let result = pinned.get(versions);
      if (!result) pinned.set(versions, result = new Map(versions).set(projection, version));
      return result;
    };
    return {
      query: (text, parameters) =>
        this.#follow((versions) => this.#sql.query(versioned(text, pin(versions)), parameters)),
      execute: (text) =>
        this.#follow((versions) => this.#sql.execute(versioned(text, pin(versions)))),
      copy: (table, columns, rows) =>
        this.#follow((versions) => this.#sql.copy(versioned(table, pin(versions)), columns, rows)),
    };
  }

  /**
   * The pointer, at most a second old; when the database cannot tell, the last one it told, since
   * none can be switched without it.
   */
  pointer(): Pointer | Promise<Pointer> {
    const current = this.#current;
    if (!current) return this.refresh();
    if (this.#isFresh(current)) return current.pointer;
    return this.refresh().catch(() => current.pointer);
  }

  /** Reads the pointer now. Callers at the same time share one reading. */
  refresh(): Promise<Pointer> {
    if (this.#refreshing) return this.#refreshing;
    const reading = this.#read().finally(() => {
      if (this.#refreshing === reading) this.#refreshing = undefined;
    });
    return this.#refreshing = reading;
  }

  /** Something has been switched: the next query reads the pointer, whatever reading is under way. */
  invalidate(): void {
    this.#invalidations++;
    this.#refreshing = undefined;
    if (this.#current) this.#current = { ...this.#current, readAt: -Infinity };
  }

  #isFresh({ readAt }: { readAt: number }): boolean {
    return this.#clock() - readAt < pointerAge;
  }

  async #read(): Promise<Pointer> {
    const readAt = this.#clock();
    const invalidations = this.#invalidations;
    const rows = await this.#sql.query<
      { projection: string; version: number; switches: number; recent: boolean }
    >(
      `SELECT projection, version, switches,
         switched_at > clock_timestamp() - make_interval(secs => $1) AS recent
       FROM projections.live ORDER BY projection`,
      [2 * switchGrace],
    );
    const before = this.#current?.pointer.versions;
    const same = before?.size === rows.length &&
      rows.every(({ projection, version }) => before.get(projection) === version);
    const versions = same
      ? before
      : new Map(rows.map(({ projection, version }) => [projection, version]));
    const pointer = {
      versions,
      switches: new Map(rows.map((row) => [
        row.projection,
        { count: row.switches, recent: row.recent },
      ])),
    };
    if (invalidations === this.#invalidations) this.#current = { pointer, readAt };
    return pointer;
  }

  async #follow<T>(run: (versions: Versions) => Promise<T>): Promise<T> {
    const current = this.#current;
    const { versions } = current && this.#isFresh(current) ? current.pointer : await this.refresh();
    try {
      return await run(versions);
    } catch (error) {
      if (!(error instanceof SqlError) || !missing.has(error.code)) throw error;
      const now = await this.refresh();
      if (now.versions === versions) throw error;
      return await run(now.versions);
    }
  }
}
