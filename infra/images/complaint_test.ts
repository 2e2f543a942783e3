import assert from "node:assert/strict";
import { rejection } from "./complaint.ts";

const whole = Uint8Array.from([0xff, 0xd8, 0xff, 0xda, 0, 2, 1, 0xff, 0xd9]);
const brokenOff = whole.slice(0, 7);

for (
  const message of [
    "VipsJpeg: Bogus Huffman table definition",
    "Input buffer has corrupt header: gifload_buffer: no frames in GIF",
    "vipspng: libpng read error",
    "webp2vips: unable to read pixels",
    "source: bad seek to 1189\nheif: Invalid input: Unexpected end of file (2.100)",
    "heif: Memory allocation error: Security limit exceeded (6.1000)",
  ]
) {
  Deno.test(`rejection blames the file for: ${message}`, () => {
    assert.equal(rejection(new Error(message), "jpeg", whole)?.reason, "corrupt");
    assert.equal(rejection(new Error(message), "jpeg", brokenOff)?.reason, "truncated");
  });
}

for (
  const message of [
    "vips_tracked: out of memory --- size == 286MB",
    "Input buffer has corrupt header: VipsJpeg: Insufficient memory (case 4)",
    "vipspng: Out of memory",
    "heif: Memory allocation error: Cannot allocate output image (6.0)",
    "std::bad_alloc",
    "VipsJpeg: unable to open /tmp/vips-0-1.v: Too many open files",
    "unable to create thread",
    "timeout: 42% complete",
  ]
) {
  Deno.test(`rejection does not blame the file for: ${message}`, () => {
    assert.equal(rejection(new Error(message), "jpeg", whole), undefined);
    assert.equal(rejection(new Error(message), "jpeg", brokenOff), undefined);
  });
}
