import { SealBroken } from "../event-log/codec.ts";

const version = "v1.";
/** Bytes, drawn at random: good for 2^32 texts under one key (NIST SP 800-38D §8.3). */
const ivLength = 12;

/**
 * AES-256-GCM (NIST SP 800-38D) as `v1.` and the base64url of initialisation vector, ciphertext and
 * tag. `context` is authenticated with it: sealed in one context, a text does not open in another.
 */
export async function sealText(
  key: CryptoKey,
  context: readonly string[],
  text: string,
): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(ivLength));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv, additionalData: additionalData(context) },
    key,
    encoder.encode(text),
  );
  const bytes = new Uint8Array(ivLength + sealed.byteLength);
  bytes.set(iv);
  bytes.set(new Uint8Array(sealed), ivLength);
  return version + toBase64Url(bytes);
}

/** @throws {SealBroken} when it was changed, or sealed under another key or in another context. */
export async function openText(
  key: CryptoKey,
  context: readonly string[],
  sealed: string,
): Promise<string> {
  const bytes = fromSealed(sealed);
  try {
    const opened = await crypto.subtle.decrypt(
      {
        name: "AES-GCM",
        iv: bytes.subarray(0, ivLength),
        additionalData: additionalData(context),
      },
      key,
      bytes.subarray(ivLength),
    );
    return decoder.decode(opened);
  } catch (cause) {
    throw new SealBroken("not sealed under this key in this context", { cause });
  }
}

function fromSealed(sealed: string): Uint8Array<ArrayBuffer> {
  if (!sealed.startsWith(version)) throw new SealBroken("not a sealed text of version 1");
  const encoded = sealed.slice(version.length);
  try {
    const bytes = Uint8Array.fromBase64(encoded, { alphabet: "base64url" });
    // One text has one sealed form: spare bits, padding and white space are not overlooked.
    if (toBase64Url(bytes) === encoded) return bytes;
  } catch { /* The same as any other encoding that is not ours. */ }
  throw new SealBroken("not base64url");
}

function toBase64Url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** JSON, so that no two contexts are written alike. */
function additionalData(context: readonly string[]): Uint8Array<ArrayBuffer> {
  return encoder.encode(JSON.stringify(context));
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
