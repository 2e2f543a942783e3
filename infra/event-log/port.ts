/**
 * The event log: the only source of truth. Topics are split into partitions; a record's key decides
 * its partition, and a partition is a gapless sequence of records. Delivery is at least once.
 */
export interface EventLog {
  /**
   * Creates the topics that do not exist and asserts the settings of those that do.
   * @throws {TopicMismatch} naming the topic, the setting and the command that mends it.
   */
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>;

  /** What `ensureTopics` would create or refuse, and does neither. */
  inspectTopics(topics: readonly TopicSpec[]): Promise<TopicProblem[]>;

  /**
   * Appends records and resolves once all are durable (fsync, or acks=all), with where each lies, in
   * the order given. Records of one partition appended by one call keep their order and lie side by
   * side with none of another call's between them only by chance: rely on the order alone.
   * Not atomic across partitions: after a rejection some may have been appended.
   * @throws {LogUnavailable} when the log cannot be reached in time; appending again is safe.
   * @throws {RecordTooLarge} over 1 MiB, and {TopicMismatch} for a topic that is not there; then nothing
   * of this call has been appended.
   */
  append(records: readonly NewRecord[]): Promise<Appended[]>;

  /**
   * Reads one partition from an offset to the high watermark as it was when asked, then ends.
   * Offsets below the low watermark begin at it.
   * @throws the signal's reason when it aborts, and {TopicMismatch} when there is no such partition.
   */
  read(
    partition: TopicPartition,
    from: number,
    options?: { batchSize?: number; signal?: AbortSignal },
  ): AsyncIterable<LogRecord[]>;

  /** For each partition of each topic: the first offset kept, and the offset the next record gets. */
  watermarks(topics: readonly string[]): Promise<Watermarks[]>;

  /** Joins a consumer group; members of a group share the partitions of its topics. */
  consume(options: ConsumeOptions): Promise<Consumption>;

  close(): Promise<void>;
}

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /**
   * It is made with so many partitions, and used with however many it has: for what is no fact, and
   * read by nobody who counts on their number.
   */
  readonly anyNumber?: true;
  /** Milliseconds after which records may be removed; for ever when left out, as facts are kept. */
  readonly retentionMs?: number;
}

export interface TopicProblem {
  readonly topic: string;
  /** It is not there. */
  readonly absent: boolean;
  /** What is wrong, and what mends it. */
  readonly message: string;
}

export interface TopicPartition {
  readonly topic: string;
  /** Zero-based. */
  readonly partition: number;
}

export type Headers = Readonly<Record<string, string>>;

export interface NewRecord {
  readonly topic: string;
  readonly key: string;
  /** UTF-8 text, at most 1 MiB with the headers. */
  readonly value: string;
  readonly headers: Headers;
}

export interface Appended extends TopicPartition {
  readonly offset: number;
}

export interface LogRecord extends NewRecord, TopicPartition {
  /** Counts up by one from 0 within the partition. Below 2^53. */
  readonly offset: number;
  /** When the log took it, milliseconds since the epoch. */
  readonly timestamp: number;
}

export interface Watermarks extends TopicPartition {
  readonly low: number;
  readonly high: number;
}

export interface ConsumeOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /**
   * Where to begin on a partition just assigned. `undefined` (or no function) means the group's
   * committed offset, or 0 where none was committed.
   */
  startAt?(partitions: readonly TopicPartition[]): Promise<readonly (number | undefined)[]>;
  /**
   * Takes records of any of the assigned partitions, each partition's in order and at most
   * `maximumBatch` altogether. Called again only after it has resolved, and then with what follows.
   * When it throws, the same records come again after a pause. On return the offsets are committed.
   * `signal` aborts when a partition of the batch has been taken away or the member is stopping: a
   * long handler should leave off then; whatever it does not finish comes again elsewhere.
   */
  handle(records: readonly LogRecord[], signal: AbortSignal): Promise<void>;
  /** Called with what is now assigned, after every rebalance. */
  onAssigned?(partitions: readonly TopicPartition[]): void;
  /** Records handed over at a time, 500 when left out. */
  readonly maximumBatch?: number;
  /** A handler's failures and the log's own troubles; consumption goes on by itself. */
  onError?(error: unknown): void;
}

export interface Consumption {
  /** Finishes the batch in hand, commits, leaves the group. */
  stop(): Promise<void>;
}

export class LogUnavailable extends Error {
  override readonly name = "LogUnavailable";
}

export class RecordTooLarge extends Error {
  override readonly name = "RecordTooLarge";
}

export class TopicMismatch extends Error {
  override readonly name = "TopicMismatch";
}

/** Bytes of key, value and headers together. Kafka's default `message.max.bytes`. */
export const maximumRecordBytes = 1024 * 1024;
