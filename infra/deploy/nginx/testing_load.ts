/** Runs the work on each item, so many at a time, in order of their start. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const queue = items.entries();
  await Promise.all(Array.from({ length: width }, async () => {
    for (const [index, item] of queue) await work(item, index);
  }));
}

/**
 * Ranks 0 to size - 1, drawn with probabilities proportional to 1 / (rank + 1) ^ exponent, as requests
 * for web objects are (Breslau et al., Web Caching and Zipf-like Distributions, 1999). The same seed
 * draws the same.
 */
export function zipf(
  { count, size, exponent, seed }: { count: number; size: number; exponent: number; seed: number },
): number[] {
  const cumulative: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= size; rank++) cumulative.push(sum += rank ** -exponent);
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => {
    const point = random() * sum;
    return cumulative.findIndex((edge) => point < edge);
  });
}

function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
