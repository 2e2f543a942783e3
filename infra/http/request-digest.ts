import { deriveKey } from "../identity/server-secret.ts";

/**
 * Says whether two requests are the same without keeping either. Keyed with the server secret (HMAC
 * with SHA-256), since some bodies hold a password, and a plain hash would let whoever steals the
 * identity store guess at it faster than argon2 does.
 */
export class RequestDigest {
  readonly #key: CryptoKey;

  private constructor(key: CryptoKey) {
    this.#key = key;
  }

  static async derive(secret: Uint8Array<ArrayBuffer>): Promise<RequestDigest> {
    const algorithm = { name: "HMAC", hash: "SHA-256", length: 256 };
    return new RequestDigest(await deriveKey(secret, "request digests", algorithm, ["sign"]));
  }

  /** 64 hexadecimal digits. */
  async of(method: string, path: string, body: string): Promise<string> {
    const request = new TextEncoder().encode(`${method} ${path}\n${body}`);
    return new Uint8Array(await crypto.subtle.sign("HMAC", this.#key, request)).toHex();
  }
}
