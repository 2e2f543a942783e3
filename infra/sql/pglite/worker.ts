/// <reference lib="deno.worker" />
import { type Sql, SqlError, type SqlQueries } from "../port.ts";
import { FolderInUse, FolderUnreadable } from "./folder.ts";
import type { Failure, Numbered } from "./messages.ts";
import { openInThread } from "./session.ts";

/** A transaction that is open: it ends when it is told how. */
interface Session {
  readonly queries: SqlQueries;
  readonly told: PromiseWithResolvers<boolean>;
  readonly ended: Promise<void>;
}

class RolledBack extends Error {}

let database: Sql | undefined;
const sessions = new Map<number, Session>();

self.onmessage = async ({ data }: MessageEvent<Numbered>) => {
  const { call } = data;
  try {
    self.postMessage({ call, result: await answer(data) });
  } catch (error) {
    self.postMessage({ call, failure: failureOf(error) });
  }
};

async function answer(request: Numbered): Promise<unknown> {
  if (request.op === "open") {
    database = await openInThread(request.where);
    return;
  }
  if (!database) throw new SqlError("08003", "the database is not open");
  const { session = 0 } = request;
  const queries = sessions.get(session)?.queries ?? database;
  switch (request.op) {
    case "query":
      return await queries.query(request.text, request.parameters);
    case "execute":
      return await queries.execute(request.text);
    case "copy":
      return await queries.copy(request.table, request.columns, request.rows);
    case "begin":
      return await begin(database, session);
    case "end":
      return await end(session, request.commit);
    case "close":
      return await database.close();
  }
}

async function begin(database: Sql, session: number): Promise<void> {
  const begun = Promise.withResolvers<void>();
  const told = Promise.withResolvers<boolean>();
  const ended = database.transaction(async (queries) => {
    sessions.set(session, { queries, told, ended });
    begun.resolve();
    if (!await told.promise) throw new RolledBack();
  });
  ended.catch(begun.reject);
  await begun.promise;
}

async function end(session: number, commit: boolean): Promise<void> {
  const open = sessions.get(session);
  if (!open) throw new SqlError("25P01", "there is no such transaction");
  sessions.delete(session);
  open.told.resolve(commit);
  await open.ended.catch((error) => {
    if (!(error instanceof RolledBack)) throw error;
  });
}

function failureOf(error: unknown): Failure {
  if (error instanceof FolderInUse) return { kind: "folder-in-use", folder: error.folder };
  if (error instanceof FolderUnreadable) {
    return { kind: "folder-unreadable", folder: error.folder, reason: error.reason };
  }
  return error instanceof SqlError
    ? { kind: "sql", code: error.code, message: error.message }
    : { kind: "sql", code: "08000", message: String(error) };
}
