import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { LogUnavailable } from "../port.ts";

/** How long to go on trying against a lock that another process holds, in milliseconds. */
export const patience = 5_000;

const schemaVersion = 1;

/**
 * `records` is clustered by its primary key, so a partition is one range of the tree: reading it is a
 * scan and its end is one seek. Nothing else stores a partition's end, so nothing can disagree with it.
 *
 * `assignments` has a row for each partition of a group, kept for ever with what was committed.
 * `target` is the member that shall have the partition, `owner` the one that has it until it lets go
 * of it or its session expires.
 */
const schema = `
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    partitions INTEGER NOT NULL CHECK (partitions > 0)
  ) STRICT;
  CREATE TABLE records (
    topic INTEGER NOT NULL REFERENCES topics,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    key ANY NOT NULL,
    value ANY NOT NULL,
    headers TEXT NOT NULL,
    PRIMARY KEY (topic, partition, offset)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE consumer_groups (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE members (
    consumer_group TEXT NOT NULL REFERENCES consumer_groups,
    id TEXT NOT NULL,
    topics TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE assignments (
    consumer_group TEXT NOT NULL REFERENCES consumer_groups,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    target TEXT,
    owner TEXT,
    committed INTEGER,
    PRIMARY KEY (consumer_group, topic, partition)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * Opens the file, creating it and its folder where they are missing.
 * @throws {LogUnavailable} when it cannot be opened, or was written by a newer build.
 */
export async function openDatabase(path: string): Promise<DatabaseSync> {
  await Deno.mkdir(dirname(path), { recursive: true });
  const deadline = Date.now() + patience;
  // SQLite does not wait by itself for the lock that changing the journal mode takes.
  for (;;) {
    try {
      return open(path);
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw unavailable(error);
      await delay(5 + Math.random() * 20);
    }
  }
}

/**
 * Opens a log that is there, to read it beside whoever writes it.
 * @throws {LogUnavailable} when it cannot be opened, or is of another schema than this build's.
 */
export function openToRead(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: patience });
    if (version(database) === schemaVersion) return database;
    const found = version(database);
    database.close();
    throw new LogUnavailable(`${path} has schema ${found}, not ${schemaVersion}`);
  } catch (error) {
    throw unavailable(error);
  }
}

function open(path: string): DatabaseSync {
  // A lock blocks the event loop for as long as SQLite waits for it: it waits little, and the writer
  // comes back later.
  const database = new DatabaseSync(path, { timeout: 20 });
  try {
    database.exec("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    if (version(database) === 0) {
      database.exec("BEGIN IMMEDIATE");
      if (version(database) === 0) database.exec(schema);
      database.exec("COMMIT");
    }
    if (version(database) !== schemaVersion) {
      throw new LogUnavailable(`${path} has schema ${version(database)}, not ${schemaVersion}`);
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function version(database: DatabaseSync): unknown {
  return database.prepare("PRAGMA user_version").get()?.user_version;
}

/** The binding gives no result code, only SQLite's message for SQLITE_BUSY. */
export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && error.message.includes("database is locked");
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
}

/** SQLite's errors as the port's; any other as it is. */
export function unavailable(error: unknown): unknown {
  return isSqliteError(error) ? new LogUnavailable(error.message, { cause: error }) : error;
}
