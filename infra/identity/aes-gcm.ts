import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { SealBroken } from "../event-log/codec.ts";

const version = "v1.";
/** Bytes, drawn at random: good for 2^32 texts under one key (NIST SP 800-38D §8.3). */
const ivLength = 12;
/** Bytes: the longest there is. */
const tagLength = 16;

/**
 * AES-256-GCM (NIST SP 800-38D) as `v1.` and the base64url of initialisation vector, ciphertext and
 * tag. `context` is authenticated with it: sealed in one context, a text does not open in another.
 *
 * By `node:crypto`, at once: of a text of a line, WebCrypto's way to another thread and back costs
 * more than the work does.
 * @param key 32 bytes.
 */
export function sealText(key: Uint8Array, context: readonly string[], text: string): string {
  const iv = randomBytes(ivLength);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(additionalData(context));
  const sealed = [iv, cipher.update(text, "utf8"), cipher.final()];
  return version + Buffer.concat([...sealed, cipher.getAuthTag()]).toString("base64url");
}

/** @throws {SealBroken} when it was changed, or sealed under another key or in another context. */
export function openText(key: Uint8Array, context: readonly string[], sealed: string): string {
  const bytes = fromSealed(sealed);
  const tagAt = bytes.length - tagLength;
  if (tagAt < ivLength) throw new SealBroken("too short");
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, ivLength));
  decipher.setAAD(additionalData(context));
  decipher.setAuthTag(bytes.subarray(tagAt));
  const opened = decipher.update(bytes.subarray(ivLength, tagAt));
  try {
    decipher.final();
  } catch (cause) {
    throw new SealBroken("not sealed under this key in this context", { cause });
  }
  // Well-formed, since it is what was sealed; with its byte order mark, if it has one.
  return opened.toString("utf8");
}

function fromSealed(sealed: string): Buffer {
  if (!sealed.startsWith(version)) throw new SealBroken("not a sealed text of version 1");
  const encoded = sealed.slice(version.length);
  const bytes = Buffer.from(encoded, "base64url");
  // One text has one sealed form: spare bits, padding and white space are not overlooked.
  if (bytes.toString("base64url") === encoded) return bytes;
  throw new SealBroken("not base64url");
}

/** JSON, so that no two contexts are written alike. */
function additionalData(context: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(context));
}
