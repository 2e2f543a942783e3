import { PGlite, type Transaction, types } from "@electric-sql/pglite";
import {
  type CopyValue,
  type Sql,
  SqlError,
  type SqlQueries,
  type SqlTransaction,
} from "../port.ts";
import { copyText } from "../copy-text.ts";
import { FolderInUse, FolderUnreadable } from "./folder.ts";

/** PostgreSQL in the thread that calls this: see `openPglite`. */
export async function openInThread(folder: string | undefined): Promise<Sql> {
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
    throw new FolderUnreadable(folder, String(cause));
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
