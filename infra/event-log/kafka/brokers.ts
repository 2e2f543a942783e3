import {
  Base,
  type ClusterMetadata,
  type Connection,
  findErrorBy,
  kGetBootstrapConnection,
  listOffsetsV7,
  NetworkError,
  ProtocolError,
} from "@platformatic/kafka";
import { type LogRecord, TopicMismatch, type TopicPartition } from "../port.ts";
import { fetchBytes, readBatches } from "./fetch.ts";
import { isOfKafka, isProtocolError, untilAvailable } from "./patience.ts";

export interface ClientOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
}

/** What every client of the library is made with. Milliseconds. */
export function connectionOptions({ brokers, clientId }: ClientOptions) {
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: 3_000,
    requestTimeout: 6_000,
    metadataMaxAge: 2_000,
    retries: brokers.length,
    retryDelay: 50,
  };
}

/**
 * Lets a client ask another broker each time it looks for leaders or a coordinator. In some of its retries the
 * library asks the first of the list only, and gets nowhere while that one takes connections and
 * answers nothing.
 */
export function askingInTurn<T extends Base>(client: T): T {
  const ask = client[kGetBootstrapConnection].bind(client);
  let turn = 0;
  client[kGetBootstrapConnection] = (callback) => ask(callback, turn++);
  return client;
}

/** Where to go on reading a partition. */
export interface Cursor extends TopicPartition {
  /** The offset wanted next. */
  readonly next: number;
}

export interface Fetched extends Cursor {
  readonly records: LogRecord[];
  /** Set when this partition could not be read; others of the same answer could. */
  readonly error?: Error;
}

/** Milliseconds for which leaders are believed in, unless something says that they have moved. */
const metadataMaxAge = 60_000;
/** The first offset kept. */
export const earliest = -2n;
/** The high watermark. */
export const latest = -1n;

/** One set of connections to the cluster: who leads what, and what there is to read. */
export class Brokers {
  readonly #client: Base;
  readonly #partitions = new Map<string, Promise<number>>();

  constructor(options: ClientOptions) {
    this.#client = askingInTurn(new Base({ ...connectionOptions(options), metadataMaxAge }));
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  metadata(topics: readonly string[], forceUpdate = false): Promise<ClusterMetadata> {
    return this.#client.metadata({ topics: [...topics], forceUpdate });
  }

  async connection(node: number): Promise<Connection> {
    const connection = (await this.#client.connectToBrokers([node])).get(node);
    if (!connection) throw new NetworkError(`broker ${node} is not there just now`);
    return connection;
  }

  /**
   * How many partitions a topic has. Kept for good: the number decides where a key lies.
   * @throws {TopicMismatch} when there is no such topic.
   */
  partitions(topic: string): Promise<number> {
    const known = this.#partitions.get(topic);
    if (known) return known;
    const found = untilAvailable(`looking for the topic ${topic}`, () => this.#findTopic(topic));
    this.#partitions.set(topic, found);
    found.catch(() => this.#partitions.delete(topic));
    return found;
  }

  async #findTopic(topic: string): Promise<number> {
    try {
      const metadata = await this.metadata([topic], true);
      const partitions = metadata.topics.get(topic)?.partitionsCount;
      if (partitions !== undefined) return partitions;
    } catch (error) {
      const unknown = isOfKafka(error) && error.message === `Unknown topic ${topic}.`;
      if (!unknown) throw error;
    }
    throw new TopicMismatch(`there is no topic ${topic} in Kafka`);
  }

  async byLeader<T extends TopicPartition>(places: readonly T[]): Promise<Map<number, T[]>> {
    const { topics } = await this.metadata([...new Set(places.map(({ topic }) => topic))]);
    return Map.groupBy(
      places,
      ({ topic, partition }) => topics.get(topic)?.partitions[partition]?.leader ?? -1,
    );
  }

  /** The offset at `earliest` or `latest` of each partition, in the order asked. */
  async offsets(places: readonly TopicPartition[], at: bigint): Promise<number[]> {
    return await untilAvailable("listing offsets", async () => {
      const found = new Map<string, number>();
      try {
        const leaders = await this.byLeader(places);
        await Promise.all([...leaders].map(async ([node, led]) => {
          const topics = [...Map.groupBy(led, ({ topic }) => topic)].map(([name, partitions]) => ({
            name,
            partitions: partitions.map(({ partition }) => ({
              partitionIndex: partition,
              currentLeaderEpoch: -1,
              timestamp: at,
            })),
          }));
          const connection = await this.connection(node);
          const response = await listOffsetsV7.api.async(connection, -1, 0, topics);
          for (const { name, partitions } of response.topics) {
            for (const { partitionIndex, offset } of partitions) {
              found.set(`${name}:${partitionIndex}`, Number(offset));
            }
          }
        }));
      } catch (error) {
        this.forgetLeaders(error);
        throw error;
      }
      return places.map(({ topic, partition }) => found.get(`${topic}:${partition}`) ?? 0);
    });
  }

  /**
   * Fetches from partitions that one broker leads. Without a fetch session (KIP-227): requests of
   * several readers do not disturb each other.
   * @param limits.wait milliseconds the broker waits for records when there are none.
   * @param limits.bytes of one partition; one batch is always returned whole.
   */
  async fetch(
    node: number,
    cursors: readonly Cursor[],
    limits: { wait: number; bytes: number },
  ): Promise<Fetched[]> {
    try {
      const metadata = await this.metadata([...new Set(cursors.map(({ topic }) => topic))]);
      const ids = new Map([...metadata.topics].map(([name, topic]) => [topic?.id, name]));
      const topics = [...Map.groupBy(cursors, ({ topic }) => topic)].map(([name, wanted]) => ({
        topicId: metadata.topics.get(name)?.id ?? "",
        partitions: wanted.map(({ partition, next }) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: BigInt(next),
          lastFetchedEpoch: -1,
          partitionMaxBytes: limits.bytes,
        })),
      }));
      const connection = await this.connection(node);
      const { wait } = limits;
      const answer = await fetchBytes.async(
        connection,
        ...[wait, 1, answerBytes, 0, 0, -1] as const,
        ...[topics, [], ""] as [typeof topics, [], string],
      );
      return answer.flatMap(({ topicId, partition, errorCode, batches }): Fetched[] => {
        const topic = ids.get(topicId);
        const cursor = cursors.find((one) => one.topic === topic && one.partition === partition);
        if (!cursor) return [];
        if (errorCode === 0) return [{ ...cursor, ...readBatches(batches, cursor, cursor.next) }];
        const error = new ProtocolError(errorCode);
        this.forgetLeaders(error);
        return [{ ...cursor, records: [], error }];
      });
    } catch (error) {
      this.forgetLeaders(error);
      throw error;
    }
  }

  /** After a sign that leaders have moved, the next request asks who leads. */
  forgetLeaders(error: unknown): void {
    if (!isOfKafka(error)) return;
    const moved = findErrorBy(error, "hasStaleMetadata", true) !== null ||
      isProtocolError(error, "FENCED_LEADER_EPOCH", "UNKNOWN_TOPIC_ID") ||
      NetworkError.isRetryable(error);
    if (moved) this.#client.clearMetadata();
  }
}

/** Bytes of one fetch response, over which the broker may go by one batch. */
const answerBytes = 16 * 1024 * 1024;
