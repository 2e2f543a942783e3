import pg, { type PoolClient } from "pg";
import type { CopyValue, Sql, SqlTransaction } from "./port.ts";
import { sqlErrorOf } from "./postgres-error.ts";
import { Session } from "./postgres-session.ts";
import { columnTypes } from "./postgres-types.ts";
import { StatementNames } from "./statement-names.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, with `?sslmode=verify-full` where it is not loopback. */
  readonly url: string;
  /** Connections at most, 10 when left out. */
  readonly connections?: number;
  /** Milliseconds to wait for a connection, a new one or one that others use; 5,000 when left out. */
  readonly connectTimeout?: number;
  /**
   * Milliseconds that one statement may take, a COPY too; 30,000 when left out. The server then
   * cancels it (57014); a server that does not even do that is given up a little later (08006).
   */
  readonly statementTimeout?: number;
  /** The server refuses to write, as a replica does anyway. */
  readonly readOnly?: boolean;
}

/**
 * Each statement is planned once per connection, not for each set of parameters. Over 32 partitions
 * planning takes longer than what it is for, and the server would go on planning as long as a plan
 * made for the parameters looks cheaper, which it does where the partitions can be told from them.
 */
const settings = { plan_cache_mode: "force_generic_plan" } as const;
const reading = { default_transaction_read_only: "on" } as const;
/** Milliseconds that a server gets beyond the statement timeout to say that it has cancelled. */
const grace = 2_000;
/**
 * Milliseconds that a transaction may stand without a statement. It ends one whose process was
 * frozen, which would otherwise keep its row locks, and with them its partitions.
 */
const idleInTransactionTimeout = 30_000;

/**
 * PostgreSQL over a pool of connections. Whatever happens to the server, each call ends within the
 * timeouts and the pool serves again when the server does: a connection about which anything is
 * uncertain is dropped, never reused. Nothing is tried a second time here, since only the caller
 * knows what may happen twice.
 *
 * Errors of class 08 say that the way to the server failed, and that a statement may or may not have
 * been carried out; 08007, that it was a COMMIT. 53300 says that all connections were busy.
 *
 * @throws {SqlError} when the server cannot be reached now.
 */
export async function openPostgres(options: PostgresOptions): Promise<Sql> {
  const sql = new PostgresSql(options);
  try {
    await sql.query("SELECT 1");
    return sql;
  } catch (error) {
    await sql.close();
    throw error;
  }
}

/** The same, connected when first used. */
export class PostgresSql implements Sql {
  readonly #pool: pg.Pool;
  readonly #names = new StatementNames();

  constructor(options: PostgresOptions) {
    const { url, connections = 10, connectTimeout = 5_000, statementTimeout = 30_000 } = options;
    this.#pool = new pg.Pool({
      connectionString: withSettings(
        url,
        options.readOnly ? { ...settings, ...reading } : settings,
      ),
      application_name: "shutterlog",
      max: connections,
      connectionTimeoutMillis: connectTimeout,
      // Connections stay: a burst after a quiet time finds them open.
      idleTimeoutMillis: 0,
      keepAlive: true,
      statement_timeout: statementTimeout,
      query_timeout: statementTimeout + grace,
      idle_in_transaction_session_timeout: idleInTransactionTimeout,
      types: columnTypes,
    });
    // A connection may be lost at any time, in use or not. Its pool forgets it, and who uses it is
    // told by the statement that fails; without listeners the event itself would end the process.
    this.#pool.on("error", () => {});
    this.#pool.on("connect", (client) => client.on("error", () => {}));
  }

  query<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]> {
    return this.#borrow((session) => session.query<Row>(text, parameters));
  }

  execute(text: string): Promise<void> {
    return this.#borrow((session) => session.execute(text));
  }

  copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number> {
    return this.#borrow((session) => session.copy(table, columns, rows));
  }

  transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
    return this.#borrow(async (session) => {
      await session.execute("BEGIN ISOLATION LEVEL READ COMMITTED");
      let result: T;
      try {
        result = await work(session);
      } catch (error) {
        await session.rollBack();
        throw error;
      }
      await session.commit();
      return result;
    });
  }

  /** Waits for what is under way. Closing again does nothing. */
  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #borrow<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    const session = new Session(client, this.#names);
    try {
      return await work(session);
    } finally {
      client.release(!await session.end());
    }
  }

  async #connect(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw sqlErrorOf(error);
    }
  }
}

/**
 * What the URL sets goes before what is set beside it, so these are put into the URL: before the
 * operator's own, which win.
 */
function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const set = new URL(url);
  const flags = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  const options = [...flags, set.searchParams.get("options") ?? ""].join(" ").trim();
  set.searchParams.set("options", options);
  return set.href;
}
