import {
  compressionsAlgorithmsByBitmask,
  createAPI,
  fetchV13,
  type Reader,
  ResponseError,
} from "@platformatic/kafka";
import type { Buffer } from "node:buffer";
import type { LogRecord, TopicPartition } from "../port.ts";

/** What a broker answers of one partition. */
export interface FetchedPartition {
  readonly topicId: string;
  readonly partition: number;
  /** 0 when it could be read. */
  readonly errorCode: number;
  /** Record batches, the last of which may be cut off. */
  readonly batches: Buffer;
}

/**
 * Fetch (version 13) as the library asks for it, with the records of the answer left as they came:
 * the library makes three objects and two numbers of 64 bits of each of their fields, which costs
 * more than all the rest of reading.
 */
export const fetchBytes = createAPI<Parameters<typeof fetchV13.createRequest>, FetchedPartition[]>(
  1,
  13,
  fetchV13.createRequest,
  parseAnswer,
);

/** https://kafka.apache.org/protocol.html#The_Messages_Fetch */
function parseAnswer(
  _correlation: number,
  apiKey: number,
  apiVersion: number,
  reader: Reader,
): FetchedPartition[] {
  reader.readInt32(); // throttle time
  const errorCode = reader.readInt16();
  reader.readInt32(); // session
  const partitions = reader.readArray((reader) => {
    const topicId = reader.readUUID();
    return reader.readArray((reader): FetchedPartition => {
      const partition = reader.readInt32();
      const errorCode = reader.readInt16();
      reader.skip(3 * 8); // high watermark, last stable offset, log start offset
      reader.readNullableArray((reader) => reader.skip(2 * 8)); // aborted transactions
      reader.skip(4); // preferred read replica
      const length = Math.max(0, reader.readUnsignedVarInt() - 1);
      const batches = reader.buffer.slice(reader.position, reader.position + length);
      reader.skip(length);
      return { topicId, partition, errorCode, batches };
    });
  }).flat();
  // Troubles of some partitions do not spoil what was read of the others.
  if (errorCode !== 0) {
    throw new ResponseError(apiKey, apiVersion, { "/": [errorCode, null] }, partitions);
  }
  return partitions;
}

/**
 * The records at `from` and after it, and the offset that follows the last batch. A batch begins
 * before the offset asked for when that lies within it, and may hold a marker only.
 * https://kafka.apache.org/documentation/#recordbatch
 */
export function readBatches(
  batches: Buffer,
  { topic, partition }: TopicPartition,
  from: number,
): { records: LogRecord[]; next: number } {
  const records: LogRecord[] = [];
  let next = from;
  for (let at = 0; batches.length - at >= head.length;) {
    const end = at + head.length + batches.readInt32BE(at + head.lengthAt);
    if (end > batches.length) break;
    const first = Number(batches.readBigInt64BE(at));
    const attributes = batches.readInt16BE(at + head.attributesAt);
    if ((attributes & control) === 0) {
      const firstTimestamp = Number(batches.readBigInt64BE(at + head.firstTimestampAt));
      const reader = new RecordReader(recordsOf(batches, at, end, attributes & compression));
      for (let count = batches.readInt32BE(at + head.countAt); count > 0; count--) {
        const { offsetDelta, timestampDelta, key, value, headers } = reader.next();
        const offset = first + offsetDelta;
        if (offset < from) continue;
        const timestamp = firstTimestamp + timestampDelta;
        records.push({ topic, partition, offset, timestamp, key, value, headers });
      }
    }
    next = Math.max(next, first + batches.readInt32BE(at + head.lastOffsetDeltaAt) + 1);
    at = end;
  }
  return { records, next };
}

/** Where a batch's head holds what: its first 12 bytes are not counted in its length. */
const head = {
  length: 12,
  lengthAt: 8,
  attributesAt: 21,
  lastOffsetDeltaAt: 23,
  firstTimestampAt: 27,
  countAt: 57,
  recordsAt: 61,
};
const compression = 0b111;
const control = 0b100000;

function recordsOf(batches: Buffer, at: number, end: number, compressedBy: number): Buffer {
  const records = batches.subarray(at + head.recordsAt, end);
  if (compressedBy === 0) return records;
  const algorithm = compressionsAlgorithmsByBitmask[compressedBy];
  if (!algorithm) throw new Error(`Kafka knows no compression ${compressedBy}`);
  return algorithm.decompressSync(records);
}

/**
 * Reads the records of one batch. What a field says is mostly what it said in the record before:
 * names of headers, types, the key once more. Such text is compared where it lies, and not made anew.
 */
class RecordReader {
  readonly #bytes: Buffer;
  #at = 0;
  /** Of the record before: each header's name and value. */
  readonly #names: Said[] = [];
  readonly #values: Said[] = [];

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next() {
    const length = this.#varint();
    const end = this.#at + length;
    this.#at++; // attributes
    const timestampDelta = this.#varint();
    const offsetDelta = this.#varint();
    const keyLength = this.#varint();
    const key = new Said(this.#at, keyLength, this.#text(keyLength));
    const value = this.#text(this.#varint());
    const headers: Record<string, string> = {};
    for (let nth = 0, count = this.#varint(); nth < count; nth++) {
      const name = this.#again(this.#varint(), this.#names, nth);
      headers[name] = this.#again(this.#varint(), this.#values, nth, key);
    }
    this.#at = end;
    return { timestampDelta, offsetDelta, key: key.text, value, headers };
  }

  /** A field that may say what the one before it said, or what the key says. */
  #again(length: number, before: Said[], nth: number, key?: Said): string {
    const last = before[nth];
    for (const known of [last, key]) {
      if (known && known.length === length && this.#repeats(known)) {
        this.#at += Math.max(0, length);
        return known.text;
      }
    }
    const said = new Said(this.#at, length, this.#text(length));
    before[nth] = said;
    return said.text;
  }

  #repeats({ at, length }: Said): boolean {
    const [bytes, here] = [this.#bytes, this.#at];
    for (let nth = length - 1; nth >= 0; nth--) {
      if (bytes[here + nth] !== bytes[at + nth]) return false;
    }
    return true;
  }

  /** Keeps a byte order mark, unlike `TextDecoder`; null, of length -1, is empty. */
  #text(length: number): string {
    if (length <= 0) return "";
    const at = this.#at;
    this.#at += length;
    return this.#bytes.toString("utf8", at, this.#at);
  }

  /** Zigzag, of at most 64 bits, of which all that Kafka counts with here are below 2^53. */
  #varint(): number {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/** A text, and where among the bytes it lies. */
class Said {
  constructor(readonly at: number, readonly length: number, readonly text: string) {}
}
