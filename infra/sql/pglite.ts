import { PGlite, type Transaction, types } from "@electric-sql/pglite";
import { copyText } from "./copy-text.ts";
import {
  type CopyValue,
  type Sql,
  SqlError,
  type SqlQueries,
  type SqlTransaction,
} from "./port.ts";

/** Another process, or this one, has the folder open. */
export class FolderInUse extends Error {
  override readonly name = "FolderInUse";
  constructor(readonly folder: string) {
    super(`${folder} is open in another process: one process at a time may use it`);
  }
}

/**
 * The database in the folder cannot be started: it is damaged, or another PostgreSQL made it.
 * Move the folder aside and fill a new one from the event log.
 */
export class FolderUnreadable extends Error {
  override readonly name = "FolderUnreadable";
  constructor(readonly folder: string, cause: unknown) {
    super(`the database in ${folder} cannot be started: ${cause}`, { cause });
  }
}

/**
 * PostgreSQL inside this process. Without a folder it lives in memory. With one it survives the
 * process being killed at any instant, for the operating system holds what was written; a power cut
 * may take the last commits, since PGlite runs without fsync.
 *
 * There is one session: transactions run one after another, and a query outside waits for the
 * transaction that is open. So a transaction must not wait for a query of its own `Sql`.
 *
 * The folder is guarded by an advisory lock (flock) on a file in it, which ends with the process
 * however it ends.
 *
 * @throws {FolderInUse} @throws {FolderUnreadable}
 */
export async function openPglite(options: { folder?: string } = {}): Promise<Sql> {
  const { folder } = options;
  if (folder === undefined) return new PgliteSql(await start(undefined), () => {});
  await Deno.mkdir(folder, { recursive: true });
  const lock = await Deno.open(`${folder}/lock`, { create: true, write: true });
  try {
    if (!await lock.tryLock(true)) throw new FolderInUse(folder);
    return new PgliteSql(await startIn(folder), () => lock.close());
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** A cluster is made aside and then renamed, so that one made by halves is never taken for whole. */
async function startIn(folder: string): Promise<PGlite> {
  const cluster = `${folder}/cluster`;
  if (!await exists(cluster)) {
    const unfinished = `${folder}/unfinished`;
    if (await exists(unfinished)) await Deno.remove(unfinished, { recursive: true });
    await (await start(unfinished)).close();
    await Deno.rename(unfinished, cluster);
  }
  return await start(cluster).catch((cause) => {
    throw new FolderUnreadable(folder, cause);
  });
}

function start(dataDir: string | undefined): Promise<PGlite> {
  return PGlite.create({ dataDir, parsers: { [types.INT8]: Number } });
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}

class Queries implements SqlQueries {
  readonly #session: PGlite | Transaction;
  readonly #failed: () => void;

  constructor(session: PGlite | Transaction, failed: () => void = () => {}) {
    this.#session = session;
    this.#failed = failed;
  }

  async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    return await this.#run(async () =>
      (await this.#session.query<Row>(text, [...parameters])).rows
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
  readonly #release: () => void;

  constructor(database: PGlite, release: () => void) {
    super(database);
    this.#database = database;
    this.#release = release;
  }

  async transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
    let thrown: { by: unknown } | undefined;
    try {
      return await this.#database.transaction(async (session) => {
        let failed = false;
        const queries = new Queries(session, () => failed = true);
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
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const known = typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : "08000";
  return new SqlError(known, error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}
