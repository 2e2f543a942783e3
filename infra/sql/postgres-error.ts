import pg from "pg";
import { SqlError } from "./port.ts";

/**
 * The messages that node-postgres gives its own errors by, which have no code, and what they are in
 * the terms of PostgreSQL's appendix A.
 */
const said: readonly (readonly [message: RegExp, code: string])[] = [
  // Every connection was busy for as long as one may wait.
  [/^timeout exceeded when trying to connect/, "53300"],
  [/^Connection terminated due to connection timeout/, "08001"],
  [/^Cannot use a pool after calling end/, "08003"],
  [/^Query read timeout|^Connection terminated|^Client (?:has encountered|was closed)/, "08006"],
];

/** Codes of libuv: the socket could not be opened, and an open one was lost. */
const unreachable = /^E(?:CONNREFUSED|HOSTUNREACH|NETUNREACH|NOTFOUND|AI_AGAIN|TIMEDOUT)$/;
const lost = /^E(?:CONNRESET|CONNABORTED|PIPE)$|^ERR_STREAM_/;

/**
 * An error of the database, or of the way to it, as a SqlError; anything else as it is, being no
 * error of the database.
 */
export function sqlErrorOf(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SqlError) return error;
  const code = codeOf(error);
  return code === undefined ? error : new SqlError(code, error.message, { cause: error });
}

function codeOf(error: Error): string | undefined {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (error instanceof pg.DatabaseError) return code;
  if (unreachable.test(code)) return "08001";
  if (lost.test(code)) return "08006";
  // Each address of a host name was tried.
  if (error instanceof AggregateError) return "08001";
  return said.find(([message]) => message.test(error.message))?.[1];
}

/**
 * Whether a connection can be used again after this: the server refused a statement and said so. Not
 * when it is about to end the connection (57P…, 25P03), nor when the plan of a statement prepared on
 * it no longer fits its table (0A000).
 */
export function leavesConnectionUsable(error: unknown): boolean {
  return error instanceof SqlError && error.cause instanceof pg.DatabaseError &&
    !/^(?:08|57P|25P03|0A000)/.test(error.code);
}
