import type { TextSealer } from "../event-log/codec.ts";
import { openText, sealText } from "./aes-gcm.ts";
import { LookupCache } from "./lookup-cache.ts";
import type { Identity } from "./port.ts";

/** Milliseconds for which a key, or its absence, is believed: closing is known everywhere by then. */
const keyLifetime = 60_000;

/** The account has no text key: it is closed, or never was. */
export class NoTextKey extends Error {
  override readonly name = "NoTextKey";
}

/**
 * Seals text under its owner's key. The owner's id is authenticated with the context, so a sealed
 * text cannot be moved to another account, event or field.
 */
class Sealer implements TextSealer {
  readonly #keyOf: (accountId: string) => Promise<CryptoKey | null>;

  constructor(keyOf: (accountId: string) => Promise<CryptoKey | null>) {
    this.#keyOf = keyOf;
  }

  /** @throws {NoTextKey} */
  async seal(ownerId: string, context: string, text: string): Promise<string> {
    const key = await this.#keyOf(ownerId);
    if (!key) throw new NoTextKey(`account ${ownerId} has no text key`);
    return sealText(key, [ownerId, context], text);
  }

  /** @throws {SealBroken} */
  async open(ownerId: string, context: string, sealed: string): Promise<string | null> {
    const key = await this.#keyOf(ownerId);
    return key && openText(key, [ownerId, context], sealed);
  }
}

/** Seals under the keys in the identity store, which are cached for a minute. */
export class AccountSealer extends Sealer {
  readonly #keys: LookupCache<CryptoKey | null>;

  /** `now` counts milliseconds. */
  constructor(options: { identity: Pick<Identity, "textKey">; now?: () => number }) {
    const { identity, now = () => performance.now() } = options;
    const keys = new LookupCache({
      async lookup(accountId) {
        const key = await identity.textKey(accountId);
        return key ? importKey(key) : null;
      },
      lifetime: keyLifetime,
      now,
    });
    super((accountId) => keys.get(accountId));
    this.#keys = keys;
  }

  /** To be called when this process has closed the account; others know within a minute. */
  forget(accountId: string): void {
    this.#keys.forget(accountId);
  }
}

/** Seals one account's text under a key the store does not hold yet: that of a registration. */
export function sealWith(key: Uint8Array, accountId: string): TextSealer {
  return new Sealer((ownerId) => ownerId === accountId ? importKey(key) : Promise.resolve(null));
}

function importKey(key: Uint8Array): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", new Uint8Array(key), "AES-GCM", false, [
    "encrypt",
    "decrypt",
  ]);
}
