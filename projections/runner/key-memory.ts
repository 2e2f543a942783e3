/** What whoever fills a version alone remembers of it. */
export interface KeyMemory {
  /**
   * Whether there may be a row under this key, of one part or two, in which case one must look;
   * remembers that there is.
   */
  recall(key: string, second?: string): boolean;
}

/** With four probes, one new key in four hundred is taken for known, and looked for in vain. */
const bitsPerKey = 16;
const probes = 4;
/** 16 MiB, which is room for eight million keys; with 13 million, one in a hundred is looked for in vain. */
const maximumBits = 2 ** 27;
const minimumBits = 2 ** 15;

/**
 * The keys written since the beginning of one partition, as a Bloom filter (Bloom 1970; the probes
 * from two hashes, Kirsch and Mitzenmacher 2006). It says "not there" only of what is not, as long as
 * nobody else writes and nothing was written before: whoever goes on with another's filling has none.
 * It is as large as the keys that are expected need, so that it lies in the processor's cache as long
 * as it can; more keys than that only spare fewer looks.
 */
export class BloomMemory implements KeyMemory {
  readonly #words: Uint32Array;
  /** Takes a hash to a bit. */
  readonly #shift: number;

  constructor(keys: number) {
    const wanted = Math.min(maximumBits, Math.max(minimumBits, keys * bitsPerKey));
    const log = Math.ceil(Math.log2(wanted));
    this.#words = new Uint32Array(2 ** (log - 5));
    this.#shift = 32 - log;
  }

  recall(key: string, second = ""): boolean {
    const hash = hashed(hashed(0x811c9dc5, key), second);
    // The last characters must reach the high bits too.
    let bit = mixed(hash);
    const step = mixed(hash ^ 0x9e3779b9) | 1;
    let known = true;
    for (let probe = 0; probe < probes; probe++, bit = (bit + step) | 0) {
      const place = bit >>> this.#shift;
      const mask = 1 << (place & 31);
      const before = this.#words[place >>> 5] ?? 0;
      if ((before & mask) === 0) {
        known = false;
        this.#words[place >>> 5] = before | mask;
      }
    }
    return known;
  }
}

/** FNV-1a, by characters. */
function hashed(hash: number, text: string): number {
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash;
}

/** MurmurHash3's finaliser. */
function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
