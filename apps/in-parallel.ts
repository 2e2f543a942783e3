/**
 * Runs `work` on every item, at most `concurrency` at a time, taken up in order. After an abort or a
 * failure no further item is taken up, and what is in hand is waited for.
 * @throws the first failure; the signal's reason when items were left.
 */
export async function inParallel<T>(
  items: readonly T[],
  concurrency: number,
  signal: AbortSignal,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  let left = items.length;
  const failures: unknown[] = [];
  const workOff = async () => {
    while (failures.length === 0 && !signal.aborted) {
      const { value, done } = rest.next();
      if (done) return;
      try {
        await work(value);
        left--;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, workOff));
  if (failures.length > 0) throw failures[0];
  if (left > 0) throw signal.reason;
}
