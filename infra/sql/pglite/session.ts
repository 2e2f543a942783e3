import { PGlite, type PGliteOptions, type Transaction, types } from "@electric-sql/pglite";
import {
  type CopyValue,
  type Sql,
  SqlError,
  type SqlQueries,
  type SqlTransaction,
} from "../port.ts";
import { copyText } from "../copy-text.ts";
import { FolderInUse, FolderUnreadable } from "./folder.ts";
import type { Where } from "./messages.ts";
import { Statements } from "./statements.ts";

/** PostgreSQL in the thread that calls this: see `openPglite`. */
export async function openInThread({ folder, image }: Where): Promise<Sql> {
  if (folder === undefined) return new PgliteSql(await create(undefined, image), () => {});
  await Deno.mkdir(folder, { recursive: true });
  const lock = await Deno.open(`${folder}/lock`, { create: true, write: true });
  try {
    if (!await lock.tryLock(true)) throw new FolderInUse(folder);
    return new PgliteSql(await startIn(folder, image), () => lock.close());
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** A cluster is made aside and then renamed, so that one made by halves is never taken for whole. */
async function startIn(folder: string, image: string | undefined): Promise<PGlite> {
  const cluster = `${folder}/cluster`;
  if (!await exists(cluster)) {
    const unfinished = `${folder}/unfinished`;
    if (await exists(unfinished)) await Deno.remove(unfinished, { recursive: true });
    await (await create(unfinished, image)).close();
    await Deno.rename(unfinished, cluster);
  }
  return await start({ dataDir: cluster }).catch((cause) => {
    throw new FolderUnreadable(folder, String(cause));
  });
}

async function create(dataDir: string | undefined, image: string | undefined): Promise<PGlite> {
  const loadDataDir = image === undefined ? undefined : new Blob([await Deno.readFile(image)]);
  return await start({ dataDir, loadDataDir });
}

/** Each statement is planned once: see `openPostgres`. */
async function start(options: PGliteOptions): Promise<PGlite> {
  const database = await PGlite.create({ ...options, parsers: { [types.INT8]: Number } });
  await database.exec("SET plan_cache_mode = force_generic_plan");
  return database;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}

class Queries implements SqlQueries {
  readonly #session: PGlite | Transaction;
  /** In this session's turn. */
  readonly #prepared: Statements["query"];
  readonly #failed: () => void;

  constructor(
    session: PGlite | Transaction,
    prepared: Statements["query"],
    failed: () => void = () => {},
  ) {
    this.#session = session;
    this.#prepared = prepared;
    this.#failed = failed;
  }

  async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    return await this.#run(async () =>
      parameters.length > 0
        ? await this.#prepared<Row>(text, parameters)
        : (await this.#session.query<Row>(text)).rows
    );
  }

  async execute(text: string): Promise<void> {
    await this.#run(() => this.#session.exec(text));
  }

  async copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number> {
    const statement = `COPY ${table} (${columns.join(", ")}) FROM '/dev/blob'`;
    const blob = new Blob([...copyText(rows)]);
    const { affectedRows } = await this.#run(() => this.#session.query(statement, [], { blob }));
    return affectedRows ?? 0;
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failed();
      throw sqlError(error);
    }
  }
}

class PgliteSql extends Queries implements Sql {
  readonly #database: PGlite;
  readonly #statements: Statements;
  readonly #release: () => void;

  constructor(database: PGlite, release: () => void) {
    const statements = new Statements(database);
    super(
      database,
      (text, parameters) =>
        database._runExclusiveTransaction(() => statements.query(text, parameters)),
    );
    this.#database = database;
    this.#statements = statements;
    this.#release = release;
  }

  async transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
    let thrown: { by: unknown } | undefined;
    try {
      return await this.#database.transaction(async (session) => {
        let failed = false;
        const queries = new Queries(
          session,
          (text, parameters) => {
            if (session.closed) throw new SqlError("25P01", "the transaction has ended");
            return this.#statements.query(text, parameters);
          },
          () => failed = true,
        );
        try {
          const result = await work(queries);
          // COMMIT of an aborted transaction is a silent ROLLBACK; this asks, and throws 25P02.
          if (failed) await queries.query("SELECT");
          return result;
        } catch (error) {
          thrown = { by: error };
          throw error;
        }
      });
    } catch (error) {
      throw thrown ? thrown.by : sqlError(error);
    }
  }

  async close(): Promise<void> {
    try {
      await this.#database.close();
    } finally {
      this.#release();
    }
  }
}

function sqlError(error: unknown): SqlError {
  if (error instanceof SqlError) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const known = typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : "08000";
  return new SqlError(known, error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
