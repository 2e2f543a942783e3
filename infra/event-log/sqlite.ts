import type { DatabaseSync, StatementSync } from "node:sqlite";
import { setImmediate as turn } from "node:timers/promises";
import {
  type Appended,
  type ConsumeOptions,
  type Consumption,
  type EventLog,
  type LogRecord,
  LogUnavailable,
  type NewRecord,
  type TopicPartition,
  type TopicProblem,
  type TopicSpec,
  type Watermarks,
} from "./port.ts";
import { assertRecordFits } from "./size.ts";
import { Consumer } from "./sqlite/consumer.ts";
import { openDatabase, openToRead, unavailable } from "./sqlite/database.ts";
import { Groups } from "./sqlite/groups.ts";
import { Records } from "./sqlite/records.ts";
import { Writer } from "./sqlite/writer.ts";

/**
 * The event log in one SQLite file, for any number of processes of one machine at once.
 *
 * Invariants:
 * - A record that was acknowledged is on disk: WAL with `synchronous=FULL` syncs every commit, and no
 *   promise resolves before it.
 * - Offsets are gapless from 0: the next one is found and used under the same write lock, and a
 *   transaction that does not commit leaves nothing.
 * - A reader sees a prefix of a partition: each read is one statement, on one snapshot.
 * - A partition of a group has one owner, and only the owner commits.
 * - Nothing is ever deleted from `records`: the low watermark is always 0.
 *
 * SQLite runs on the event loop. Transactions are short, and a lock held by another process is waited
 * for without blocking it, apart from 20 ms.
 *
 * @param options.path the file; its folder is created. Beside it lie `-wal` and `-shm`, which belong to it.
 * @param options.sessionTimeout milliseconds after which a consumer that gives no sign of life is
 * replaced, 3,000 when left out. The same in all processes.
 * @throws {LogUnavailable} when the file cannot be opened.
 */
export async function openSqliteLog(
  options: { path: string; sessionTimeout?: number },
): Promise<EventLog> {
  return new SqliteLog(await openDatabase(options.path), options.sessionTimeout ?? 3_000);
}

/**
 * The log of another process, or of none, to be read alone: nothing is created, locked or written.
 * @throws {LogUnavailable} when there is no such file or it cannot be read.
 */
export function readSqliteLog(
  options: { path: string },
): Pick<EventLog, "read" | "watermarks" | "close"> {
  return new SqliteLog(openToRead(options.path), 0);
}

/** Records of one call that are written in one transaction, at most. */
const chunk = 1_000;
/** Milliseconds between two looks at whether another process has written. */
const pollInterval = 15;

class SqliteLog implements EventLog {
  readonly #database: DatabaseSync;
  readonly #sessionTimeout: number;
  readonly #records: Records;
  readonly #groups: Groups;
  readonly #writer: Writer;
  readonly #dataVersion: StatementSync;
  readonly #consumers = new Set<Consumer>();
  #poll: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  constructor(database: DatabaseSync, sessionTimeout: number) {
    this.#database = database;
    this.#sessionTimeout = sessionTimeout;
    this.#records = new Records(database);
    this.#groups = new Groups(database, sessionTimeout);
    this.#writer = new Writer(database);
    this.#dataVersion = database.prepare("PRAGMA data_version");
  }

  async ensureTopics(topics: readonly TopicSpec[]): Promise<void> {
    this.#assertOpen();
    await this.#writer.write(() => topics.forEach((topic) => this.#records.ensureTopic(topic)));
  }

  inspectTopics(topics: readonly TopicSpec[]): Promise<TopicProblem[]> {
    return Promise.try(() => {
      this.#assertOpen();
      return this.#query(() => topics.flatMap((topic) => this.#records.inspectTopic(topic) ?? []));
    });
  }

  async append(records: readonly NewRecord[]): Promise<Appended[]> {
    this.#assertOpen();
    for (const record of records) {
      assertRecordFits(record);
      this.#query(() => this.#records.topic(record.topic));
    }
    const writes: Promise<Appended[]>[] = [];
    for (let start = 0; start < records.length; start += chunk) {
      const part = records.slice(start, start + chunk);
      writes.push(this.#writer.write(() => this.#records.append(part, Date.now()), part.length));
    }
    const appended = (await Promise.all(writes)).flat();
    for (const consumer of this.#consumers) consumer.appended(appended);
    return appended;
  }

  read(
    partition: TopicPartition,
    from: number,
    options: { batchSize?: number; signal?: AbortSignal } = {},
  ): AsyncIterable<LogRecord[]> {
    this.#assertOpen();
    const high = this.#query(() => this.#records.high(partition));
    return this.#readUntil(high, partition, from, options);
  }

  async *#readUntil(
    high: number,
    partition: TopicPartition,
    from: number,
    { batchSize = 1_000, signal }: { batchSize?: number; signal?: AbortSignal },
  ): AsyncGenerator<LogRecord[]> {
    // Reading is synchronous: without a turn for others, however little there is to read, a loop of
    // reads would keep the event loop to itself.
    await turn();
    for (let next = Math.max(from, 0); next < high; next += batchSize) {
      signal?.throwIfAborted();
      this.#assertOpen();
      const limit = Math.min(batchSize, high - next);
      yield this.#query(() => this.#records.read(partition, next, limit));
      await turn();
    }
  }

  watermarks(topics: readonly string[]): Promise<Watermarks[]> {
    return Promise.try(() => {
      this.#assertOpen();
      return this.#query(() =>
        topics.flatMap((topic) =>
          Array.from({ length: this.#records.topic(topic).partitions }, (_, partition) => ({
            topic,
            partition,
            low: 0,
            high: this.#records.high({ topic, partition }),
          }))
        )
      );
    });
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    this.#assertOpen();
    const topics = this.#query(() => options.topics.map((name) => this.#records.topic(name)));
    const consumer = new Consumer(
      options,
      topics,
      { records: this.#records, groups: this.#groups, writer: this.#writer },
      this.#sessionTimeout,
    );
    await consumer.start();
    if (this.#closed) {
      await consumer.stop();
      this.#assertOpen();
    }
    this.#consumers.add(consumer);
    this.#poll ??= this.#startPolling();
    return { stop: () => this.#stop(consumer) };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#consumers].map((consumer) => this.#stop(consumer)));
    await this.#writer.drain();
    this.#database.close();
  }

  async #stop(consumer: Consumer): Promise<void> {
    await consumer.stop();
    this.#consumers.delete(consumer);
    if (this.#consumers.size > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }

  #startPolling(): ReturnType<typeof setInterval> {
    let seen: unknown;
    return setInterval(() => {
      const version = this.#version();
      const changed = version === undefined || version !== seen;
      seen = version;
      for (const consumer of this.#consumers) consumer.tick(Date.now(), changed);
    }, pollInterval);
  }

  /** Changes when another connection commits; undefined when SQLite cannot tell just now. */
  #version(): unknown {
    try {
      return this.#dataVersion.get()?.data_version;
    } catch {
      return undefined;
    }
  }

  #query<T>(query: () => T): T {
    try {
      return query();
    } catch (error) {
      throw unavailable(error);
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new LogUnavailable("the log has been closed");
  }
}
