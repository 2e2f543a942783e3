import assert from "node:assert/strict";
import { Unprocessable } from "./port.ts";
import { endsEarly, type Format, sniff } from "./sniff.ts";

const samples: readonly [string, Format][] = [
  ["\xff\xd8\xff\xe0", "jpeg"],
  ["\x89PNG\r\n\x1a\n", "png"],
  ["GIF87a", "gif"],
  ["GIF89a", "gif"],
  ["RIFF\x10\0\0\0WEBPVP8 ", "webp"],
  ["\0\0\0\x18ftypavif\0\0\0\0", "avif"],
  ["\0\0\0\x20ftypmif1\0\0\0\0mif1avif", "avif"],
  ["\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"],
  ["\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heic"],
];

for (const [text, format] of samples) {
  Deno.test(`sniff knows ${format} by ${JSON.stringify(text)}`, () => {
    assert.equal(sniff(bytes(text)), format);
  });
}

const refused: readonly [string, string][] = [
  ["", "empty"],
  ["II*\0\x08\0\0\0", "unsupported-format"],
  ["MM\0*\0\0\0\x08", "unsupported-format"],
  ["<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported-format"],
  ["<?xml version='1.0'?>\n<!-- GIF89a --><svg/>", "unsupported-format"],
  ["\xef\xbb\xbf  <svg>", "unsupported-format"],
  ["\xff\x0a\xfa", "unsupported-format"],
  ["8BPS\0\x01", "unsupported-format"],
  ["%PDF-1.7\n\xff\xd8\xff", "not-an-image"],
  ["<!DOCTYPE html><html>", "not-an-image"],
  ["\0\0\0\x18ftypmp42\0\0\0\0isom", "not-an-image"],
  ["PK\x03\x04", "not-an-image"],
  ["\xff\xd8", "not-an-image"],
  ["RIFF\x10\0\0\0WAVEfmt ", "not-an-image"],
  ["just words", "not-an-image"],
];

for (const [text, reason] of refused) {
  Deno.test(`sniff refuses ${JSON.stringify(text)} as ${reason}`, () => {
    assert.throws(
      () => sniff(bytes(text)),
      (error) => error instanceof Unprocessable && error.reason === reason,
    );
  });
}

const scan = "\xff\xd8\xff\xe1\0\x04\xff\xd9\xff\xda\0\x02abc";
const early: readonly [Format, string, boolean][] = [
  ["jpeg", scan + "\xff\xd9", false],
  ["jpeg", scan, true],
  ["png", "\x89PNG\r\n\x1a\n\0\0\0\0IENDcrc.", false],
  ["png", "\x89PNG\r\n\x1a\n\0\0\0\x09IDATab", true],
  ["webp", "RIFF\x06\0\0\0WEBPVP", false],
  ["webp", "RIFF\x07\0\0\0WEBPVP", true],
  ["avif", "\0\0\0\x0cftypavif\0\0\0\0mdat", false],
  ["avif", "\0\0\0\x0cftypavif\0\0\0\x09mdat", true],
  ["gif", "GIF89a...;", false],
  ["gif", "GIF89a...", true],
];

for (const [format, text, expected] of early) {
  const verb = expected ? "misses" : "finds";
  Deno.test(`endsEarly ${verb} the end of the ${format} ${JSON.stringify(text)}`, () => {
    assert.equal(endsEarly(format, bytes(text)), expected);
  });
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
