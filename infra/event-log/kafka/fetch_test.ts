import { createRecordsBatch, Reader, readRecordsBatches } from "@platformatic/kafka";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { readBatches } from "./fetch.ts";

const place = { topic: "posts", partition: 3 };

interface Message {
  readonly key: string;
  readonly value: string;
  readonly timestamp: bigint;
  readonly headers: ReadonlyMap<string, string>;
}

/** Texts that repeat, as keys and headers do, that nearly do, and that do not. */
const text = fc.oneof(
  fc.constantFrom("", "1.0", "1.1", "2.0", "01900000-0000-7000-8000-000000000001", "\ufeffé𝒳"),
  fc.string({ unit: "binary", maxLength: 200 }),
);
const message: fc.Arbitrary<Message> = fc.record({
  key: text,
  value: text,
  timestamp: fc.bigInt({ min: 0n, max: 2n ** 42n }),
  headers: fc.array(fc.tuple(text, text), { maxLength: 8 }).map((pairs) => new Map(pairs)),
});

/** As the broker keeps it: the library writes every batch at offset 0. */
function batchOf(
  messages: readonly Message[],
  firstOffset: number,
  compression: "none" | "gzip",
  control = false,
): Buffer {
  const batch = createRecordsBatch(
    messages.map(({ key, value, timestamp, headers }) => ({
      ...{ ...place, timestamp, key: Buffer.from(key), value: Buffer.from(value) },
      headers: new Map(
        Array.from(headers, ([name, value]) => [Buffer.from(name), Buffer.from(value)]),
      ),
    })),
    { compression },
  ).buffer;
  const bytes = Buffer.from(batch);
  bytes.writeBigInt64BE(BigInt(firstOffset), 0);
  if (control) bytes.writeInt16BE(bytes.readInt16BE(21) | 0b100000, 21);
  return bytes;
}

Deno.test("readBatches: reads what the client library reads, from any offset, of any batches", () => {
  fc.assert(fc.property(
    fc.array(
      fc.record({
        messages: fc.array(message, { minLength: 1, maxLength: 12 }),
        compression: fc.constantFrom("none" as const, "none" as const, "gzip" as const),
        control: fc.constantFrom(false, false, false, true),
      }),
      { maxLength: 5 },
    ),
    fc.nat(60),
    fc.nat(100),
    (drawn, from, cut) => {
      const batches: Buffer[] = [];
      let high = 0;
      for (const { messages, compression, control } of drawn) {
        batches.push(batchOf(messages, high, compression, control));
        high += messages.length;
      }
      const whole = Buffer.concat(batches);
      const expected = readRecordsBatches(Reader.from(whole)).flatMap((batch, nth) =>
        drawn[nth]?.control ? [] : batch.records.map((record) => ({
          ...place,
          offset: Number(batch.firstOffset) + record.offsetDelta,
          timestamp: Number(batch.firstTimestamp + record.timestampDelta),
          key: record.key?.toString() ?? "",
          value: record.value?.toString() ?? "",
          headers: Object.fromEntries(
            record.headers.map((
              [name, value],
            ) => [name?.toString() ?? "", value?.toString() ?? ""]),
          ),
        }))
      ).filter(({ offset }) => offset >= from);
      assert.deepEqual(readBatches(whole, place, from), {
        records: expected,
        next: Math.max(from, high),
      });

      // The broker cuts the last batch where the answer is full.
      const last = batches.at(-1);
      if (!last) return;
      const short = whole.subarray(0, whole.length - 1 - cut % last.length);
      const before = high - (drawn.at(-1)?.messages.length ?? 0);
      assert.deepEqual(readBatches(short, place, from), {
        records: expected.filter(({ offset }) => offset < before),
        next: Math.max(from, before),
      });
    },
  ));
});

Deno.test("readBatches: a compression that Kafka does not know is an error", () => {
  const batch = batchOf([{ key: "a", value: "b", timestamp: 0n, headers: new Map() }], 0, "none");
  batch.writeInt16BE(7, 21);
  assert.throws(() => readBatches(batch, place, 0), /no compression 7/);
});
