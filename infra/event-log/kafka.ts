import type { Logger } from "../telemetry/logger.ts";
import { Brokers, type ClientOptions, earliest, latest } from "./kafka/brokers.ts";
import { Consumer } from "./kafka/consumer.ts";
import { untilAvailable } from "./kafka/patience.ts";
import { type Durability, ensureTopics, inspectTopics } from "./kafka/topics.ts";
import { Writer } from "./kafka/writer.ts";
import {
  type Appended,
  type ConsumeOptions,
  type Consumption,
  type EventLog,
  type LogRecord,
  LogUnavailable,
  type NewRecord,
  TopicMismatch,
  type TopicPartition,
  type TopicProblem,
  type TopicSpec,
  type Watermarks,
} from "./port.ts";
import { assertRecordFits } from "./size.ts";

/**
 * The event log in Kafka, 3.5 or later.
 *
 * Invariants:
 * - A record that was acknowledged is on `minInsyncReplicas` brokers: acks=all from an idempotent
 *   producer (KIP-98), with no unclean election.
 * - Offsets are gapless from 0: no transactions, so no markers, and nothing is compacted or expires.
 * - A commit is fenced by the group's generation, so a member that was replaced sets nothing back.
 *
 * An operation that meets an election, a restart or a lost connection tries again for 30 s.
 *
 * @param options.brokers `host:port`, any of the cluster's.
 * @param options.replicationFactor of topics that are created, and at least of those that are there.
 * @throws {LogUnavailable} when no broker answers in time.
 */
export async function openKafkaLog(
  options: {
    readonly brokers: readonly string[];
    readonly clientId?: string;
    readonly replicationFactor: number;
    readonly minInsyncReplicas: number;
    readonly logger: Logger;
  },
): Promise<EventLog> {
  const { brokers, clientId = "shutterlog", replicationFactor, minInsyncReplicas, logger } =
    options;
  const clients = { brokers, clientId };
  const connections = new Brokers(clients);
  try {
    await untilAvailable("connecting", () => connections.metadata([]));
  } catch (error) {
    await connections.close();
    throw error;
  }
  return new KafkaLog(connections, clients, { replicationFactor, minInsyncReplicas }, logger);
}

/** Bytes of one answer to `read`. */
const readBytes = 4 * 1024 * 1024;

class KafkaLog implements EventLog {
  readonly #brokers: Brokers;
  readonly #clients: ClientOptions;
  readonly #durability: Durability;
  readonly #writer: Writer;
  readonly #consumers = new Set<Consumer>();
  readonly #closing = new AbortController();

  constructor(brokers: Brokers, clients: ClientOptions, durability: Durability, logger: Logger) {
    this.#brokers = brokers;
    this.#clients = clients;
    this.#durability = durability;
    this.#writer = new Writer(clients, logger);
  }

  async ensureTopics(topics: readonly TopicSpec[]): Promise<void> {
    this.#assertOpen();
    await ensureTopics(topics, this.#durability, this.#clients, this.#brokers);
  }

  async inspectTopics(topics: readonly TopicSpec[]): Promise<TopicProblem[]> {
    this.#assertOpen();
    return await inspectTopics(topics, this.#durability, this.#clients, this.#brokers);
  }

  async append(records: readonly NewRecord[]): Promise<Appended[]> {
    this.#assertOpen();
    records.forEach(assertRecordFits);
    const topics = [...new Set(records.map(({ topic }) => topic))];
    // Asked for even when known, so that calls go on in the order they were made in.
    const counts = await Promise.all(topics.map((topic) => this.#brokers.partitions(topic)));
    return await this.#writer.append(
      records,
      new Map(topics.map((topic, index) => [topic, counts[index] ?? 1])),
    );
  }

  async *read(
    partition: TopicPartition,
    from: number,
    { batchSize = 1_000, signal }: { batchSize?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<LogRecord[]> {
    this.#assertOpen();
    await this.#assertPartition(partition);
    const [[low = 0], [high = 0]] = await Promise.all([
      this.#brokers.offsets([partition], earliest),
      this.#brokers.offsets([partition], latest),
    ]);
    let next = Math.max(from, low);
    while (next < high) {
      const cursor = { ...partition, next };
      const fetched = await untilAvailable("reading", async () => {
        const [node = -1] = (await this.#brokers.byLeader([cursor])).keys();
        const [fetched] = await this.#brokers.fetch(node, [cursor], {
          wait: 500,
          bytes: readBytes,
        });
        if (fetched?.error) throw fetched.error;
        return fetched;
      }, signal);
      const records = fetched?.records.filter(({ offset }) => offset < high) ?? [];
      for (let start = 0; start < records.length; start += batchSize) {
        signal?.throwIfAborted();
        yield records.slice(start, start + batchSize);
      }
      signal?.throwIfAborted();
      next = fetched?.next ?? next;
    }
  }

  async watermarks(topics: readonly string[]): Promise<Watermarks[]> {
    this.#assertOpen();
    const counts = await Promise.all(topics.map((topic) => this.#brokers.partitions(topic)));
    const places = topics.flatMap((topic, index) =>
      Array.from({ length: counts[index] ?? 0 }, (_, partition) => ({ topic, partition }))
    );
    const [lows, highs] = await Promise.all([
      this.#brokers.offsets(places, earliest),
      this.#brokers.offsets(places, latest),
    ]);
    return places.map((place, index) => ({
      ...place,
      low: lows[index] ?? 0,
      high: highs[index] ?? 0,
    }));
  }

  async consume(options: ConsumeOptions): Promise<Consumption> {
    this.#assertOpen();
    await Promise.all(options.topics.map((topic) => this.#brokers.partitions(topic)));
    const consumer = new Consumer(options, this.#clients);
    await consumer.start();
    if (this.#closing.signal.aborted) {
      await consumer.stop();
      this.#assertOpen();
    }
    this.#consumers.add(consumer);
    return {
      stop: async () => {
        await consumer.stop();
        this.#consumers.delete(consumer);
      },
    };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop()));
    await this.#writer.close();
    await this.#brokers.close();
  }

  async #assertPartition({ topic, partition }: TopicPartition): Promise<void> {
    const count = await this.#brokers.partitions(topic);
    if (partition >= 0 && partition < count) return;
    throw new TopicMismatch(`the topic ${topic} has ${count} partitions, and none ${partition}`);
  }

  #assertOpen(): void {
    if (this.#closing.signal.aborted) throw new LogUnavailable("the log has been closed");
  }
}
