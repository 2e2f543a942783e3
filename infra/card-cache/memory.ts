import { LRUCache } from "lru-cache";
import { type CardCache, type Claim, claimSeconds, type Listener, type Taken } from "./port.ts";

type Kept = { readonly text: string } | { readonly token: string; readonly lapsesAt: number };

/** Bytes that an entry takes besides its text, about: the key, the object, its place in the order. */
const entryBytes = 200;

/**
 * Texts in this process's memory, `maximumBytes` at most (64 MiB when left out); those that nobody has
 * asked for longest go first. Everyone hears of an eviction in the turn in which it is done.
 */
export function createMemoryCardCache(
  { now = Date.now, maximumBytes = 64 * 1024 * 1024 }: {
    now?: () => number;
    maximumBytes?: number;
  } = {},
): CardCache {
  const kept = new LRUCache<string, Kept>({
    maxSize: maximumBytes,
    // A string takes two bytes a character, unless all of them are Latin-1.
    sizeCalculation: (one) => entryBytes + ("text" in one ? 2 * one.text.length : 0),
  });
  const listeners = new Set<Listener>();

  const takeOne = (key: string): Taken => {
    const one = kept.get(key);
    if (one && "text" in one) return one;
    if (one && now() < one.lapsesAt) return undefined;
    const token = crypto.randomUUID();
    kept.set(key, { token, lapsesAt: now() + claimSeconds * 1000 });
    return { claim: { key, token } };
  };

  const fillOne = ({ claim: { key, token }, text }: { claim: Claim; text: string }): void => {
    const one = kept.peek(key);
    if (!one || "text" in one || one.token !== token || now() >= one.lapsesAt) return;
    kept.set(key, { text });
  };

  return {
    take: (keys) => Promise.resolve(keys.map(takeOne)),
    fill: (loaded) => Promise.resolve(loaded.forEach(fillOne)),
    evict(keys) {
      for (const key of keys) kept.delete(key);
      for (const listener of listeners) listener.evicted(keys);
      return Promise.resolve();
    },
    listen(listener) {
      listeners.add(listener);
      return {
        live: true,
        caughtUp: () => Promise.resolve(),
        stop: () => Promise.resolve(void listeners.delete(listener)),
      };
    },
    check: () => Promise.resolve(),
    close: () => Promise.resolve(kept.clear()),
  };
}
