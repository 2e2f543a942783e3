import assert from "node:assert/strict";
import { cardCacheContract, newKey } from "./contract.ts";
import { createMemoryCardCache } from "./memory.ts";
import { claimSeconds } from "./port.ts";

cardCacheContract("memory", () => {
  let time = 0;
  let keys: string[] = [];
  const cache = createMemoryCardCache({ now: () => time });
  const watched = {
    ...cache,
    take: (asked: readonly string[]) => (keys.push(...asked), cache.take(asked)),
  };
  return Promise.resolve({
    cache: watched,
    other: watched,
    lapseClaims: () => {
      time += claimSeconds * 1000;
      return Promise.resolve();
    },
    forget: () => {
      const all = keys;
      keys = [];
      return cache.evict(all);
    },
    close: () => cache.close(),
  });
});

Deno.test("memory: holds no more bytes than it may, and keeps what is asked for", async () => {
  const text = "x".repeat(1_000);
  const cache = createMemoryCardCache({ maximumBytes: 100 * 2_200 });
  const put = async (key: string) => {
    const [taken] = await cache.take([key]);
    if (taken && "claim" in taken) await cache.fill([{ claim: taken.claim, text }]);
  };
  const wanted = newKey();
  const others = Array.from({ length: 300 }, newKey);
  await put(wanted);
  for (const key of others) {
    await put(key);
    const [taken] = await cache.take([wanted]);
    assert.ok(taken && "text" in taken, "what is asked for stays");
  }
  const kept = (await cache.take(others)).filter((one) => one && "text" in one);
  assert.ok(kept.length < 100, `${kept.length} texts`);
});
