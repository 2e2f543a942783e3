import assert from "node:assert/strict";
import fc from "fast-check";
import { parseRange } from "./range.ts";

Deno.test("parseRange: RFC 9110's examples of ten thousand bytes", () => {
  assert.deepEqual(parseRange("bytes=0-499", 10_000), { start: 0, end: 500 });
  assert.deepEqual(parseRange("bytes=500-999", 10_000), { start: 500, end: 1000 });
  assert.deepEqual(parseRange("bytes=-500", 10_000), { start: 9500, end: 10_000 });
  assert.deepEqual(parseRange("bytes=9500-", 10_000), { start: 9500, end: 10_000 });
  assert.deepEqual(parseRange("Bytes= 0-0 ", 10_000), { start: 0, end: 1 });
});

Deno.test("parseRange: an end past the last byte means the last byte", () => {
  assert.deepEqual(parseRange("bytes=5-99999999999999999999999", 10), { start: 5, end: 10 });
  assert.deepEqual(parseRange("bytes=-99999999999999999999999", 10), { start: 0, end: 10 });
});

Deno.test("parseRange: a start past the last byte cannot be satisfied", () => {
  for (const header of ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999-", "bytes=-0"]) {
    assert.equal(parseRange(header, 10), "unsatisfiable", header);
  }
  assert.equal(parseRange("bytes=0-", 0), "unsatisfiable");
  assert.equal(parseRange("bytes=-5", 0), "unsatisfiable");
});

Deno.test("parseRange: what is not one range of bytes is ignored", () => {
  const ignored = ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4"];
  for (const header of [...ignored, "lines=0-1", "bytes=0x0-1", "bytes=-1-2", "bytes 0-1"]) {
    assert.equal(parseRange(header, 10), undefined, header);
  }
});

Deno.test("parseRange: a range it gives is never empty and never outside", () => {
  const number = fc.oneof(fc.nat({ max: 60 }), fc.constantFrom("", 2 ** 53, "9".repeat(400)));
  fc.assert(fc.property(number, number, fc.nat({ max: 50 }), (first, last, byteLength) => {
    const range = parseRange(`bytes=${first}-${last}`, byteLength);
    if (range === undefined || range === "unsatisfiable") return;
    assert(0 <= range.start && range.start < range.end && range.end <= byteLength);
  }));
});
