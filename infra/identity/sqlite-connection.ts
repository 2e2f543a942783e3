import { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";

/**
 * One SQLite connection of several to the same file, in this process and in others.
 *
 * SQLite runs on the event loop, so nothing here waits in it: a lock that another connection holds
 * is asked for again after a pause, and transactions that are wanted at the same time commit
 * together, with one fsync for all of them.
 */
export class SqliteConnection {
  readonly #database: DatabaseSync;
  readonly #waiting: Transaction[] = [];
  #committing: Promise<void> | undefined;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Opens or creates the file and brings its schema up to date.
   * @throws when the file was written by a later version of the schema.
   */
  static async open(path: string, migrations: readonly string[]): Promise<SqliteConnection> {
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      await whenUnlocked(() => database.exec("PRAGMA journal_mode = WAL"));
      database.exec("PRAGMA synchronous = FULL");
      // What is deleted is overwritten with zeroes: a dropped key must not linger in a free page.
      database.exec("PRAGMA secure_delete = ON");
      await whenUnlocked(() => migrate(database, migrations));
      const connection = new SqliteConnection(database);
      connection.checkpoint();
      return connection;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** To be read alone, beside whoever writes it. @throws when there is no such file. */
  static openToRead(path: string): SqliteConnection {
    return new SqliteConnection(new DatabaseSync(path, { readOnly: true, timeout: 0 }));
  }

  prepare(sql: string) {
    return this.#database.prepare(sql);
  }

  read<T>(query: () => T): Promise<T> {
    return whenUnlocked(query);
  }

  /**
   * Runs `work` in a transaction and resolves once it is durable. When `work` throws, its own
   * statements are rolled back and no other's.
   */
  write<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.push({
      run: () => {
        const result = work();
        return () => resolve(result);
      },
      reject,
    });
    this.#committing ??= this.#commitAll();
    return promise;
  }

  /**
   * Moves the write-ahead log into the file and empties it, unless another connection is in the way:
   * then it is left to the next.
   */
  checkpoint(): void {
    this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  /** Commits what is waiting, then closes. Closing again does nothing. */
  async close(): Promise<void> {
    await this.#committing;
    if (this.#database.isOpen) this.#database.close();
  }

  async #commitAll(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        // Requests that are ready in this turn of the event loop come along.
        await nextTurn();
        await whenUnlocked(() => this.#commitGroup());
      }
    } catch (error) {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    } finally {
      this.#committing = undefined;
    }
  }

  /**
   * Must not yield between BEGIN and COMMIT: a read on this connection would see what is not
   * committed yet.
   */
  #commitGroup(): void {
    this.#database.exec("BEGIN IMMEDIATE");
    const group = this.#waiting.splice(0, maximumGroup);
    const settle: (() => void)[] = [];
    try {
      for (const { run, reject } of group) {
        this.#database.exec("SAVEPOINT one");
        try {
          settle.push(run());
        } catch (error) {
          this.#database.exec("ROLLBACK TO one");
          settle.push(() => reject(error));
        }
        this.#database.exec("RELEASE one");
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      for (const { reject } of group) reject(error);
      // A full disk has rolled it back already.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      return;
    }
    for (const done of settle) done();
  }
}

interface Transaction {
  /** Executes the statements; what it returns is called once they are committed. */
  run(): () => void;
  reject(error: unknown): void;
}

/** Transactions that commit together: some milliseconds of work, so that the event loop goes on. */
const maximumGroup = 64;

function migrate(database: DatabaseSync, migrations: readonly string[]): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const done = Number(database.prepare("PRAGMA user_version").get()?.user_version);
    if (done > migrations.length) {
      throw new Error(`schema ${done} is newer than ${migrations.length}, which this build knows`);
    }
    for (const migration of migrations.slice(done)) database.exec(migration);
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

/** How long a lock is waited for, milliseconds. Others hold it for a few. */
const patience = 5_000;

async function whenUnlocked<T>(work: () => T): Promise<T> {
  const deadline = performance.now() + patience;
  for (let longest = 2;; longest = Math.min(2 * longest, 32)) {
    try {
      return work();
    } catch (error) {
      if (!isLocked(error) || performance.now() > deadline) throw error;
    }
    await pause(Math.random() * longest);
  }
}

/** SQLITE_BUSY, which `node:sqlite` tells by its message alone. */
function isLocked(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("database is locked");
}
