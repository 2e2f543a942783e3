import { type CopyValue, SqlError, type SqlQueries } from "./port.ts";
import { type PostgresOptions, PostgresSql } from "./postgres.ts";

/** Milliseconds for which a server that could not answer is passed over. */
const pause = 10_000;

interface Server {
  readonly sql: PostgresSql;
  failedAt: number;
}

/**
 * Reads from the first of several servers, replicas as a rule and the primary last, that can answer.
 * One at a time and not all in turn: replicas are not equally far, and what was waited for on one
 * must be read on the same. Processes are spread over them by being given them in different orders.
 *
 * A server that cannot answer is passed over for 10 seconds, and its queries, which change nothing,
 * go to the next. Statements that write are refused by all (25006).
 */
export class PostgresReads implements SqlQueries {
  readonly #servers: readonly Server[];
  readonly #clock: () => number;

  /** Connects when first used. `clock` counts milliseconds. */
  constructor(
    urls: readonly string[],
    options: Omit<PostgresOptions, "url" | "readOnly"> = {},
    clock: () => number = () => performance.now(),
  ) {
    this.#clock = clock;
    if (urls.length === 0) throw new RangeError("there is no server to read from");
    this.#servers = urls.map((url) => ({
      sql: new PostgresSql({ ...options, url, readOnly: true }),
      failedAt: -Infinity,
    }));
  }

  query<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]> {
    return this.#first((sql) => sql.query<Row>(text, parameters));
  }

  execute(text: string): Promise<void> {
    return this.#first((sql) => sql.execute(text));
  }

  copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number> {
    return this.#first((sql) => sql.copy(table, columns, rows));
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map(({ sql }) => sql.close()));
  }

  async #first<T>(read: (sql: SqlQueries) => Promise<T>): Promise<T> {
    const begun = this.#clock();
    const passedOver = ({ failedAt }: Server) => begun - failedAt < pause;
    // Those passed over come last: when no other answers, they are all there is.
    const inOrder = this.#servers.toSorted((a, b) => Number(passedOver(a)) - Number(passedOver(b)));
    let trouble: unknown;
    for (const server of inOrder) {
      try {
        return await read(server.sql);
      } catch (error) {
        if (!canBeAnsweredElsewhere(error)) throw error;
        server.failedAt = this.#clock();
        trouble = error;
      }
    }
    throw trouble;
  }
}

/**
 * The server is out of reach or going down, or as a replica had to cancel the query for what the
 * primary did meanwhile (40001). Not when it is busy (53300): the next would soon be too.
 */
function canBeAnsweredElsewhere(error: unknown): boolean {
  return error instanceof SqlError && /^(?:08(?!003)|57P0|40001)/.test(error.code);
}
