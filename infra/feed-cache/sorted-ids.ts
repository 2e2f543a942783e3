const width = 16;
/** Ids of the newest page that are kept as text too, at most: about 60 bytes each. */
const keptAsText = 24;

/**
 * A sorted set of UUIDs in one buffer, 16 bytes each, that grows by a quarter: at most 20 bytes an
 * entry, 16 when it is at its maximum. Oldest first, so that a new post is written behind the others; a full set of 500
 * moves 8 KB to take one, which costs less than allocating anything.
 *
 * The page that was read last from the newest on is kept as text until something is added, since
 * readers look for what is new far more often than there is any.
 */
export class SortedIds {
  #bytes = new Uint8Array(0);
  #size = 0;
  #newest: { readonly limit: number; readonly ids: readonly string[] } | undefined;

  constructor(readonly maximum: number) {}

  get size(): number {
    return this.#size;
  }

  /** Bytes taken by the entries and the room kept for more. */
  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  /** Adds an id in its place. Returns whether an older one, or this one, was cut off at the maximum. */
  add(id: Uint8Array): boolean {
    let at = this.#firstNotBelow(id);
    if (at < this.#size && this.#compare(at, id) === 0) return false;
    const full = this.#size === this.maximum;
    if (full && at === 0) return true;
    this.#newest = undefined;
    if (full) {
      at -= 1;
      this.#bytes.copyWithin(0, width, (at + 1) * width);
    } else {
      this.#makeRoom();
      this.#bytes.copyWithin((at + 1) * width, at * width, this.#size * width);
      this.#size += 1;
    }
    this.#bytes.set(id, at * width);
    return full;
  }

  deleteBelow(id: Uint8Array): void {
    const count = this.#firstNotBelow(id);
    this.#newest = undefined;
    this.#bytes.copyWithin(0, count * width, this.#size * width);
    this.#size -= count;
  }

  oldest(): Uint8Array | undefined {
    return this.#size === 0 ? undefined : this.#bytes.slice(0, width);
  }

  /** Up to `limit` ids below `before`, newest first. */
  below(before: Uint8Array | undefined, limit: number): readonly string[] {
    if (before === undefined && this.#newest?.limit === limit) return this.#newest.ids;
    const end = before === undefined ? this.#size : this.#firstNotBelow(before);
    const ids: string[] = [];
    for (let at = end - 1; at >= Math.max(0, end - limit); at--) ids.push(this.#format(at));
    if (before === undefined && limit <= keptAsText) this.#newest = { limit, ids };
    return ids;
  }

  #makeRoom(): void {
    const capacity = this.#bytes.length / width;
    if (this.#size < capacity) return;
    const grown = new Uint8Array(
      Math.min(this.maximum, Math.max(capacity + 1, Math.floor(capacity * 1.25))) * width,
    );
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  /** The index of the first entry that is not below `id`; the size when all are. */
  #firstNotBelow(id: Uint8Array): number {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(middle, id) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(at: number, id: Uint8Array): number {
    return compareIds(this.#bytes.subarray(at * width, (at + 1) * width), id);
  }

  #format(at: number): string {
    return formatId(this.#bytes.subarray(at * width, (at + 1) * width));
  }
}

export function formatId(id: Uint8Array): string {
  const hex = id.toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${
    hex.slice(20)
  }`;
}

export function compareIds(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < width; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @throws {SyntaxError} when it is not a UUID. */
export function parseId(id: string): Uint8Array {
  const bytes = Uint8Array.fromHex(id.replaceAll("-", ""));
  if (bytes.length !== width) throw new SyntaxError(`${id} is not a UUID`);
  return bytes;
}
