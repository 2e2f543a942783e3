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

/** Where an account's key is had from; null when it has none. */
interface Keys {
  keyOf(accountId: string): Promise<Uint8Array | null>;
  /** The same at once; undefined when it has to be asked for. */
  known(accountId: string): Uint8Array | null | undefined;
}

/**
 * Seals text under its owner's key. The owner's id is authenticated with the context, so a sealed
 * text cannot be moved to another account, event or field.
 */
class Sealer implements TextSealer {
  readonly #keys: Keys;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  /** @throws {NoTextKey} */
  async seal(ownerId: string, context: string, text: string): Promise<string> {
    const key = await this.#keys.keyOf(ownerId);
    if (!key) throw new NoTextKey(`account ${ownerId} has no text key`);
    return sealText(key, [ownerId, context], text);
  }

  /** @throws {SealBroken} */
  async open(ownerId: string, context: string, sealed: string): Promise<string | null> {
    const key = await this.#keys.keyOf(ownerId);
    return key && openText(key, [ownerId, context], sealed);
  }

  /** @throws {SealBroken} */
  openNow(ownerId: string, context: string, sealed: string): string | null | undefined {
    const key = this.#keys.known(ownerId);
    return key && openText(key, [ownerId, context], sealed);
  }
}

/** Seals under the keys in the identity store, which are cached for a minute. */
export class AccountSealer extends Sealer {
  readonly #keys: LookupCache<Uint8Array | null>;

  /** `now` counts milliseconds. */
  constructor(options: { identity: Pick<Identity, "textKeys">; now?: () => number }) {
    const { identity, now = () => performance.now() } = options;
    const wanted = new Wanted(identity);
    const keys = new LookupCache({
      lookup: (accountId) => wanted.keyOf(accountId),
      lifetime: keyLifetime,
      now,
    });
    super({
      keyOf: (accountId) => keys.get(accountId),
      known: (accountId) => keys.known(accountId),
    });
    this.#keys = keys;
  }

  /** To be called when this process has closed the account; others know within a minute. */
  forget(accountId: string): void {
    this.#keys.forget(accountId);
  }
}

/** Keys that are wanted in the same turn of the event loop are asked for together. */
class Wanted {
  readonly #identity: Pick<Identity, "textKeys">;
  #ids: string[] = [];
  #asked: Promise<ReadonlyMap<string, Uint8Array>> | undefined;

  constructor(identity: Pick<Identity, "textKeys">) {
    this.#identity = identity;
  }

  async keyOf(accountId: string): Promise<Uint8Array | null> {
    this.#ids.push(accountId);
    this.#asked ??= Promise.resolve().then(() => {
      const ids = this.#ids;
      this.#ids = [];
      this.#asked = undefined;
      return this.#identity.textKeys(ids);
    });
    return (await this.#asked).get(accountId) ?? null;
  }
}

/** Seals one account's text under a key the store does not hold yet: that of a registration. */
export function sealWith(key: Uint8Array, accountId: string): TextSealer {
  const known = (ownerId: string) => ownerId === accountId ? key : null;
  return new Sealer({ keyOf: (ownerId) => Promise.resolve(known(ownerId)), known });
}
