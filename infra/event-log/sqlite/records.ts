import type { DatabaseSync, StatementSync } from "node:sqlite";
import { partitionOf } from "../partitioner.ts";
import {
  type Appended,
  type Headers,
  type LogRecord,
  type NewRecord,
  TopicMismatch,
  type TopicPartition,
  type TopicProblem,
  type TopicSpec,
} from "../port.ts";

interface StoredTopic extends TopicSpec {
  readonly id: number;
}

/** Topics and their records. What writes is to be called within a transaction. */
export class Records {
  readonly #topics = new Map<string, StoredTopic>();
  readonly #findTopic: StatementSync;
  readonly #createTopic: StatementSync;
  readonly #last: StatementSync;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;

  constructor(database: DatabaseSync) {
    this.#findTopic = database.prepare("SELECT id, name, partitions FROM topics WHERE name = ?");
    this.#createTopic = database.prepare("INSERT INTO topics (name, partitions) VALUES (?, ?)");
    this.#last = database.prepare(
      `SELECT offset FROM records WHERE topic = ? AND partition = ? ORDER BY offset DESC LIMIT 1`,
    );
    this.#insert = database.prepare(
      `INSERT INTO records (topic, partition, offset, timestamp, key, value, headers)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#select = database.prepare(
      `SELECT offset, timestamp, key, value, headers FROM records
       WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?`,
    );
  }

  /** @throws {TopicMismatch} when it is there with another number of partitions. */
  ensureTopic(spec: TopicSpec): void {
    const problem = this.inspectTopic(spec);
    if (problem?.absent) this.#createTopic.run(spec.name, spec.partitions);
    else if (problem) throw new TopicMismatch(problem.message);
  }

  inspectTopic({ name, partitions, anyNumber }: TopicSpec): TopicProblem | undefined {
    const stored = this.#find(name);
    if (!stored) {
      const message =
        `there is no topic ${name}: the processes that need it create it as they start`;
      return { topic: name, absent: true, message };
    }
    if (stored.partitions === partitions || anyNumber) return undefined;
    const message = `topic ${name} has ${stored.partitions} partitions, not ${partitions}. They ` +
      `cannot be changed, since keys would move: ask for ${stored.partitions}, or move the log's ` +
      `file away with mv`;
    return { topic: name, absent: false, message };
  }

  /**
   * To be called first outside a transaction, since what it finds is remembered and must not be rolled back.
   * @throws {TopicMismatch} when there is no such topic.
   */
  topic(name: string): StoredTopic {
    const topic = this.#topics.get(name) ?? this.#find(name);
    if (!topic) throw new TopicMismatch(`there is no topic ${name}: create it with ensureTopics`);
    this.#topics.set(name, topic);
    return topic;
  }

  /** The transaction's lock makes the offsets gapless: nobody else can append between seek and insert. */
  append(records: readonly NewRecord[], timestamp: number): Appended[] {
    const next = new Map<string, number>();
    return records.map((record) => {
      const { id, partitions } = this.topic(record.topic);
      const partition = partitionOf(record.key, partitions);
      const place = `${id}:${partition}`;
      const offset = next.get(place) ?? this.#highOf(id, partition);
      next.set(place, offset + 1);
      this.#insert.run(
        id,
        partition,
        offset,
        timestamp,
        toColumn(record.key),
        toColumn(record.value),
        JSON.stringify(record.headers),
      );
      return { topic: record.topic, partition, offset };
    });
  }

  /** The offset the next record gets. @throws {TopicMismatch} when there is no such partition. */
  high({ topic: name, partition }: TopicPartition): number {
    const topic = this.topic(name);
    if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions) {
      throw new TopicMismatch(
        `topic ${name} has ${topic.partitions} partitions, none ${partition}`,
      );
    }
    return this.#highOf(topic.id, partition);
  }

  /** At most `limit` records of a partition from an offset on. */
  read({ topic, partition }: TopicPartition, from: number, limit: number): LogRecord[] {
    return this.#select.all(this.topic(topic).id, partition, from, limit).map((row) => ({
      topic,
      partition,
      offset: Number(row.offset),
      timestamp: Number(row.timestamp),
      key: fromColumn(row.key),
      value: fromColumn(row.value),
      headers: JSON.parse(String(row.headers)) as Headers,
    }));
  }

  #highOf(topic: number, partition: number): number {
    const last = this.#last.get(topic, partition);
    return last ? Number(last.offset) + 1 : 0;
  }

  #find(name: string): StoredTopic | undefined {
    const row = this.#findTopic.get(name);
    return row && { id: Number(row.id), name, partitions: Number(row.partitions) };
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The binding reads TEXT only up to the first U+0000, so text that holds one is kept as a BLOB. */
function toColumn(text: string): string | Uint8Array {
  return text.includes("\0") ? encoder.encode(text) : text;
}

function fromColumn(column: unknown): string {
  return column instanceof Uint8Array ? decoder.decode(column) : String(column);
}
