import assert from "node:assert/strict";
import fc from "fast-check";
import { murmur2, partitionOf } from "./partitioner.ts";

Deno.test("murmur2: gives what Apache Kafka's UtilsTest publishes", () => {
  const published: Record<string, number> = {
    "21": -973932308,
    foobar: -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  };
  const encoder = new TextEncoder();
  for (const [key, hash] of Object.entries(published)) {
    assert.equal(murmur2(encoder.encode(key)), hash, key);
  }
});

Deno.test("murmur2: hashes the bytes of a view, not of the buffer under it", () => {
  const bytes = new TextEncoder().encode("--foobar--");
  assert.equal(murmur2(bytes.subarray(2, 8)), -790332482);
});

Deno.test("partitionOf: is the hash without its sign bit, modulo the partitions", () => {
  assert.equal(partitionOf("foobar", 16), (-790332482 & 0x7fffffff) % 16);
  assert.equal(partitionOf("abc", 7), 479470107 % 7);
});

const text = fc.array(fc.constantFrom("a", "7", "é", "北", "📷")).map((characters) =>
  characters.join("")
);

Deno.test("partitionOf: is a partition there is, for any key", () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 1_000 }), (key, count) => {
      const partition = partitionOf(key, count);
      assert.ok(Number.isInteger(partition) && partition >= 0 && partition < count);
    }),
  );
});
