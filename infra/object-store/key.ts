import { Buffer } from "node:buffer";

/**
 * What may name an object, on every adapter alike: 1 to 1,024 bytes of UTF-8 (S3's own limit), in
 * parts divided by `/` that are not empty, `.` or `..` (HTTP clients resolve those away before they
 * send a URL), without control characters or what XML cannot carry, and each part short enough for
 * `fileName`.
 */
export function isKey(key: string): boolean {
  return usual.test(key) ||
    key.isWellFormed() && !forbidden.test(key) && Buffer.byteLength(key) <= 1024 &&
      key.split("/").every(isPart);
}

/** @throws {InvalidKey} */
export function assertKey(key: string): void {
  if (!isKey(key)) throw new InvalidKey(`not an object key: ${JSON.stringify(key)}`);
}

export class InvalidKey extends Error {
  override readonly name = "InvalidKey";
}

/** Keys compare by their UTF-8 bytes, as in S3; strings in JavaScript compare by UTF-16 units. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/**
 * A part of a key as the name of a file or folder: what is not a lower-case letter, a digit, `-` or
 * `_` is percent-encoded, capitals too. No two parts share a name, then, not even on a file system
 * that takes upper and lower case for the same or rewrites accents, and no name has a dot in it.
 */
export function fileName(part: string): string {
  let name = "";
  for (const byte of Buffer.from(part)) {
    const character = String.fromCharCode(byte);
    name += plain.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return name;
}

/** The inverse of `fileName`. */
export function partOf(fileName: string): string {
  return decodeURIComponent(fileName);
}

const plain = /[a-z0-9_-]/;
/** Keys of which nothing is near a limit, as ours are: seen at once, where the rest takes 7 µs. */
const usual = /^[a-z0-9_-]{1,200}(?:\/[a-z0-9_-]{1,200}){0,4}$/;
// deno-lint-ignore no-control-regex
const forbidden = /[\u0000-\u001f\u007f\ufffe\uffff]/;
/** File systems take 255 bytes; the rest is for a suffix. */
const longestFileName = 240;

function isPart(part: string): boolean {
  return part !== "" && part !== "." && part !== ".." && fileName(part).length <= longestFileName;
}
