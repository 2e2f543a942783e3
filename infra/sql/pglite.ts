import { FolderInUse, FolderUnreadable } from "./pglite/folder.ts";
import type { Failure, Reply, Request, Where } from "./pglite/messages.ts";
import {
  type CopyValue,
  type Sql,
  SqlError,
  type SqlQueries,
  type SqlTransaction,
} from "./port.ts";

export { FolderInUse, FolderUnreadable };

/**
 * PostgreSQL inside this process, in a thread of its own: it is WebAssembly that runs to the end of a
 * statement, and on the caller's thread nothing else would meanwhile. Without a folder it lives in
 * memory. With one it survives the process being killed at any instant, for the operating system
 * holds what was written; a power cut may take the last commits, since PGlite runs without fsync.
 *
 * There is one session: transactions run one after another, and a query outside waits for the
 * transaction that is open. So a transaction must not wait for a query of its own `Sql`.
 *
 * The folder is guarded by an advisory lock (flock) on a file in it, which ends with the process
 * however it ends.
 *
 * @throws {FolderInUse} @throws {FolderUnreadable}
 */
export async function openPglite(where: Where = {}): Promise<Sql> {
  const thread = new Thread();
  try {
    await thread.call({ op: "open", where });
    return new ThreadedSql(thread);
  } catch (error) {
    thread.end();
    throw error;
  }
}

class Thread {
  readonly #worker = new Worker(new URL("./pglite/worker.ts", import.meta.url), { type: "module" });
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #count = 0;
  #ended: SqlError | undefined;

  constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const call = this.#calls.get(data.call);
      this.#calls.delete(data.call);
      if ("failure" in data) call?.reject(errorOf(data.failure));
      else call?.resolve(data.result);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.end(new SqlError("08006", `the database's thread has died: ${event.message}`));
    };
  }

  call(request: Request, session?: number): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    const call = ++this.#count;
    const settled = Promise.withResolvers<unknown>();
    this.#calls.set(call, settled);
    try {
      this.#worker.postMessage({ call, session, ...request });
    } catch (error) {
      this.#calls.delete(call);
      return Promise.reject(error); // A parameter that cannot pass between threads.
    }
    return settled.promise;
  }

  newSession(): number {
    return ++this.#count;
  }

  end(reason = new SqlError("08003", "the database is closed")): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#worker.terminate();
    for (const call of this.#calls.values()) call.reject(reason);
    this.#calls.clear();
  }
}

class ThreadedQueries implements SqlQueries {
  constructor(readonly thread: Thread, readonly session?: number) {}

  async query<Row>(text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    return await this.thread.call({ op: "query", text, parameters }, this.session) as Row[];
  }

  async execute(text: string): Promise<void> {
    await this.thread.call({ op: "execute", text }, this.session);
  }

  async copy(
    table: string,
    columns: readonly string[],
    rows: Iterable<readonly CopyValue[]>,
  ): Promise<number> {
    const request = { op: "copy", table, columns, rows: [...rows] } as const;
    return await this.thread.call(request, this.session) as number;
  }
}

class ThreadedSql extends ThreadedQueries implements Sql {
  async transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
    const session = this.thread.newSession();
    await this.thread.call({ op: "begin" }, session);
    let result: T;
    try {
      result = await work(new ThreadedQueries(this.thread, session));
    } catch (error) {
      await this.thread.call({ op: "end", commit: false }, session);
      throw error;
    }
    await this.thread.call({ op: "end", commit: true }, session);
    return result;
  }

  async close(): Promise<void> {
    try {
      await this.thread.call({ op: "close" });
    } finally {
      this.thread.end();
    }
  }
}

function errorOf(failure: Failure): Error {
  switch (failure.kind) {
    case "sql":
      return new SqlError(failure.code, failure.message);
    case "folder-in-use":
      return new FolderInUse(failure.folder);
    case "folder-unreadable":
      return new FolderUnreadable(failure.folder, failure.reason);
  }
}
