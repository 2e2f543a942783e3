/** Fewer bytes than a key of HS256 or AES-256 has would weaken both. */
const minimumLength = 32;

/**
 * Keys for one purpose each from one server secret, by HKDF with SHA-256 (RFC 5869): knowing one of
 * them tells nothing of the others. `purpose` is part of what was signed or sealed: changing it makes
 * that unreadable.
 */
export async function deriveKey(
  secret: Uint8Array<ArrayBuffer>,
  purpose: string,
  algorithm: HmacKeyGenParams,
  usages: readonly KeyUsage[],
): Promise<CryptoKey> {
  const key = await importSecret(secret, "deriveKey");
  return crypto.subtle.deriveKey(hkdf(purpose), key, algorithm, false, [...usages]);
}

/** The same as so many bytes. */
export async function deriveBytes(
  secret: Uint8Array<ArrayBuffer>,
  purpose: string,
  length: number,
): Promise<Uint8Array> {
  const key = await importSecret(secret, "deriveBits");
  return new Uint8Array(await crypto.subtle.deriveBits(hkdf(purpose), key, length * 8));
}

/** A public name for a secret: 12 characters of base64url from which the secret cannot be had. */
export async function secretName(secret: Uint8Array<ArrayBuffer>): Promise<string> {
  return (await deriveBytes(secret, "name", 9)).toBase64({ alphabet: "base64url" });
}

function importSecret(secret: Uint8Array<ArrayBuffer>, usage: KeyUsage): Promise<CryptoKey> {
  if (secret.length < minimumLength) {
    throw new Error(`a server secret has at least ${minimumLength} bytes, not ${secret.length}`);
  }
  return crypto.subtle.importKey("raw", secret, "HKDF", false, [usage]);
}

function hkdf(purpose: string): HkdfParams {
  const info = new TextEncoder().encode(`shutterlog ${purpose}`);
  return { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
}
