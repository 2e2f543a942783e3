/** What whoever fills a version alone remembers of it. */
export interface KeyMemory {
  /** Whether there may be a row under this key, in which case one must look; remembers that there is. */
  recall(key: string): boolean;
}

/** 16 MiB: one key in a hundred of 13 million is taken for known, and looked for in vain. */
const bits = 2 ** 27;
const probes = 4;

/**
 * The keys written since the beginning of one partition, as a Bloom filter (Bloom 1970; the probes
 * from two hashes, Kirsch and Mitzenmacher 2006). It says "not there" only of what is not, as long as
 * nobody else writes and nothing was written before: whoever goes on with another's filling has none.
 * However many keys there are, it takes no more memory, and only spares fewer looks.
 */
export class BloomMemory implements KeyMemory {
  readonly #words = new Uint32Array(bits / 32);

  recall(key: string): boolean {
    let [a, b] = [0x811c9dc5, 0x9e3779b9];
    for (let at = 0; at < key.length; at++) {
      const code = key.charCodeAt(at);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x85ebca6b) + (b >>> 13);
    }
    // The last characters must reach the high bits too (MurmurHash3's finaliser).
    a = mixed(a);
    b = mixed(b) | 1;
    let known = true;
    for (let probe = 0; probe < probes; probe++) {
      const bit = (a + Math.imul(probe, b)) >>> 5;
      const word = bit >>> 5;
      const mask = 1 << (bit & 31);
      const before = this.#words[word] ?? 0;
      if ((before & mask) === 0) {
        known = false;
        this.#words[word] = before | mask;
      }
    }
    return known;
  }

  /** For another partition, none of whose keys is in this one. */
  forget(): void {
    this.#words.fill(0);
  }
}

function mixed(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
