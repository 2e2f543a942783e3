import { Producer, stringSerializers } from "@platformatic/kafka";
import type { Logger } from "../../telemetry/logger.ts";
import { partitionOf } from "../partitioner.ts";
import { type Appended, LogUnavailable, type NewRecord, type TopicPartition } from "../port.ts";
import { recordBytes } from "../size.ts";
import { askingInTurn, type ClientOptions, connectionOptions } from "./brokers.ts";
import { patience, unavailable, within } from "./patience.ts";

/** One call of `append`, whose records may lie in several lanes. */
interface Call {
  readonly places: Appended[];
  readonly settled: PromiseWithResolvers<Appended[]>;
  missing: number;
  failed: boolean;
}

type IdempotentProducer = Producer<string, string, string, string>;

interface Entry {
  readonly call: Call;
  /** Of the record within its call. */
  readonly index: number;
  readonly record: NewRecord;
  readonly bytes: number;
}

/**
 * Bytes of a record batch, which `max.message.bytes` limits as a whole. A single record may be over it.
 */
const batchBytes = 1_000_000;
/** What a record and each of its headers take beside their text: lengths, deltas, attributes. */
const overhead = { record: 32, header: 10 };

/**
 * Appends through an idempotent producer (KIP-98). Each partition is a lane with one request under way
 * at a time, in which everything travels that was asked for meanwhile. So
 * - what one caller appends keeps its order, whatever is retried;
 * - a retry carries the same batch under the same sequence number, and only to the leader of its one
 *   partition: a request for several could be torn apart by an election and be retried in other company;
 * - the calls of a busy process share round trips.
 *
 * A producer whose request failed is replaced: the fate of that batch is unknown, and its sequence
 * numbers must not be given to another one, which the broker would take for the same.
 */
export class Writer {
  readonly #options: ClientOptions;
  readonly #logger: Logger;
  readonly #lanes = new Map<string, Lane>();
  #producer: IdempotentProducer;

  constructor(options: ClientOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
    this.#producer = createProducer(options);
  }

  /** Enqueues at once, so calls are served in the order they were made in. */
  append(
    records: readonly NewRecord[],
    partitions: ReadonlyMap<string, number>,
  ): Promise<Appended[]> {
    const call: Call = {
      places: [],
      settled: Promise.withResolvers(),
      missing: records.length,
      failed: false,
    };
    records.forEach((record, index) => {
      const { topic } = record;
      const partition = partitionOf(record.key, partitions.get(topic) ?? 1);
      this.#lane({ topic, partition }).push({ call, index, record, bytes: batchShare(record) });
    });
    if (records.length === 0) call.settled.resolve([]);
    return call.settled.promise;
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.idle));
    await this.#producer.close();
  }

  #lane(place: TopicPartition): Lane {
    const name = `${place.topic}:${place.partition}`;
    const known = this.#lanes.get(name);
    if (known) return known;
    const lane = new Lane(place, (records) => this.#send(place, records));
    this.#lanes.set(name, lane);
    return lane;
  }

  /** Returns the offset of the first record. */
  async #send(place: TopicPartition, records: readonly NewRecord[]): Promise<number> {
    const producer = this.#producer;
    try {
      const messages = records.map(({ key, value, headers }) => ({
        ...place,
        key,
        value,
        headers,
      }));
      const { offsets } = await within(patience, producer.send({ messages }));
      const [first] = offsets ?? [];
      if (!first) throw new Error("Kafka acknowledged without an offset");
      return Number(first.offset);
    } catch (error) {
      if (producer === this.#producer) {
        this.#logger.warn("an append failed; going on with a new producer", { ...place, error });
        this.#producer = createProducer(this.#options);
      }
      // Ends the retries of the requests of other lanes too; they are as stuck.
      await producer.close().catch(() => {});
      throw error instanceof LogUnavailable ? error : unavailable("appending", error);
    }
  }
}

class Lane {
  idle: Promise<void> = Promise.resolve();
  readonly #place: TopicPartition;
  readonly #send: (records: readonly NewRecord[]) => Promise<number>;
  #queue: Entry[] = [];
  #busy = false;

  constructor(place: TopicPartition, send: (records: readonly NewRecord[]) => Promise<number>) {
    this.#place = place;
    this.#send = send;
  }

  push(entry: Entry): void {
    this.#queue.push(entry);
    if (this.#busy) return;
    this.#busy = true;
    this.idle = this.#drain();
  }

  async #drain(): Promise<void> {
    // What is appended in the same turn travels together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#take();
      try {
        const first = await this.#send(batch.map(({ record }) => record));
        batch.forEach(({ call, index }, position) => {
          call.places[index] = { ...this.#place, offset: first + position };
          if (--call.missing === 0) call.settled.resolve(call.places);
        });
      } catch (error) {
        // Nor will those behind fare better; who waits for them should know.
        for (const { call } of [...batch, ...this.#queue]) {
          call.failed = true;
          call.settled.reject(error);
        }
      }
      this.#queue = this.#queue.filter(({ call }) => !call.failed);
    }
    this.#busy = false;
  }

  #take(): Entry[] {
    let count = 0;
    let bytes = 0;
    for (const entry of this.#queue) {
      bytes += entry.bytes;
      if (count > 0 && bytes > batchBytes) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }
}

function createProducer(options: ClientOptions): IdempotentProducer {
  return askingInTurn(
    new Producer({
      ...connectionOptions(options),
      idempotent: true,
      serializers: stringSerializers,
      // Until it is closed: `patience` is counted outside.
      retries: Number.MAX_SAFE_INTEGER,
      retryDelay: (_client, _operation, attempt) => Math.min(50 * 2 ** attempt, 1_000),
    }),
  );
}

function batchShare(record: NewRecord): number {
  const headers = Object.keys(record.headers).length;
  return recordBytes(record) + overhead.record + headers * overhead.header;
}
