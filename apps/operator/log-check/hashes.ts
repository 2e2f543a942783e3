/**
 * A growing list of texts, each as 64 bits of hash: 8 bytes an entry, and an eighth more once they are
 * marked. Two different texts share a hash with a probability of n² / 2⁶⁵: of a hundred million, one
 * in four thousand lists has such a pair. Fit for ids and keys that are our own; no defence against
 * texts that somebody has chosen.
 */
export class Hashes {
  #entries: BigUint64Array<ArrayBuffer>;
  #halves: Uint32Array<ArrayBuffer>;
  #count = 0;
  #marks: Uint8Array | undefined;

  constructor(capacity = 1_024) {
    this.#entries = new BigUint64Array(capacity);
    this.#halves = new Uint32Array(this.#entries.buffer);
  }

  get count(): number {
    return this.#count;
  }

  add(text: string): void {
    if (this.#count === this.#entries.length) {
      const grown = new BigUint64Array(2 * this.#entries.length);
      grown.set(this.#entries);
      this.#entries = grown;
      this.#halves = new Uint32Array(grown.buffer);
    }
    // Written as halves: a BigInt for each would be an allocation.
    hash(text, this.#halves, 2 * this.#count);
    this.#count++;
  }

  /** Sorts what was added. Nothing may be added after it. Returns how many were there before. */
  sort(): number {
    const sorted = this.#entries.subarray(0, this.#count).sort();
    this.#entries = sorted;
    this.#marks = new Uint8Array(Math.ceil(this.#count / 8));
    let repeated = 0;
    for (let at = 1; at < sorted.length; at++) if (sorted[at] === sorted[at - 1]) repeated++;
    return repeated;
  }

  /** Marks a text; whether it is among them. */
  mark(text: string): boolean {
    const at = this.#find(text);
    if (at === undefined) return false;
    const marks = this.#marks ?? new Uint8Array();
    marks[at >> 3] = (marks[at >> 3] ?? 0) | 1 << (at & 7);
    return true;
  }

  /** Whether it is among them and has not been marked. */
  unmarked(text: string): boolean {
    const at = this.#find(text);
    return at !== undefined && ((this.#marks?.[at >> 3] ?? 0) & 1 << (at & 7)) === 0;
  }

  /** The first of its place, when a text was added more than once. */
  #find(text: string): number | undefined {
    hash(text, halves, 0);
    const wanted = whole[0] ?? 0n;
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] ?? 0n) < wanted) low = middle + 1;
      else high = middle;
    }
    return low < this.#count && this.#entries[low] === wanted ? low : undefined;
  }
}

const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);

/** cyrb53's two lanes (https://github.com/bryc/code/blob/master/jshash/PRNGs.md), all 64 bits of them. */
function hash(text: string, into: Uint32Array, at: number): void {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let n = 0; n < text.length; n++) {
    const code = text.charCodeAt(n);
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ a >>> 16, 2246822507) ^ Math.imul(b ^ b >>> 13, 3266489909);
  b = Math.imul(b ^ b >>> 16, 2246822507) ^ Math.imul(a ^ a >>> 13, 3266489909);
  into[at] = a;
  into[at + 1] = b;
}
