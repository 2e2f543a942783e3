import assert from "node:assert/strict";
import { feedCacheContract } from "./contract.ts";
import { createMemoryFeedCache } from "./memory.ts";
import { claimSeconds, feedWindow } from "./port.ts";
import { parseId, SortedIds } from "./sorted-ids.ts";

feedCacheContract("memory", () => {
  let time = 0;
  const cache = createMemoryFeedCache({ now: () => time });
  return Promise.resolve({
    cache,
    lapseClaims: () => {
      time += claimSeconds * 1000;
      return Promise.resolve();
    },
    close: () => cache.close(),
  });
}, { runs: 500 });

const idOf = (n: number) => `0193aef0-1c00-7000-8000-${n.toString(16).padStart(12, "0")}`;

async function fill(cache: ReturnType<typeof createMemoryFeedCache>, readerId: string) {
  const claim = await cache.claim(readerId);
  assert.ok(claim);
  await cache.fill(claim, [idOf(1)], true);
}

Deno.test("memory: the feed whose reader has been away longest is evicted", async () => {
  const cache = createMemoryFeedCache({ maximumFeeds: 2 });
  const [away, here, latest] = [idOf(100), idOf(101), idOf(102)] as const;
  await fill(cache, here);
  await fill(cache, away);
  await cache.read(here, { limit: 1 });
  await cache.push([away], idOf(2));
  await fill(cache, latest);
  const states = await Promise.all(
    [away, here, latest].map(async (reader) => (await cache.read(reader, { limit: 1 })).state),
  );
  assert.deepEqual(states, ["missing", "complete", "complete"], "a push does not keep a feed");
});

Deno.test("memory: a claim stands until the last millisecond", async () => {
  let time = 0;
  const cache = createMemoryFeedCache({ now: () => time });
  const claim = await cache.claim(idOf(100));
  assert.ok(claim);
  time = claimSeconds * 1000 - 1;
  assert.equal(await cache.fill(claim, [], true), true);
});

Deno.test("memory: what is not a UUID is refused, not stored as something else", async () => {
  const cache = createMemoryFeedCache();
  await fill(cache, idOf(100));
  for (const bad of ["", "x", "0193aef0-1c00-7000-8000-0000000000", "z".repeat(36)]) {
    await assert.rejects(cache.push([idOf(100)], bad), SyntaxError);
  }
});

Deno.test("SortedIds: at most 20 bytes an entry, 16 when full", () => {
  const ids = new SortedIds(feedWindow);
  for (let n = 0; n < 2 * feedWindow; n++) {
    ids.add(parseId(idOf((n * 389) % (2 * feedWindow))));
    if (ids.size > 4) assert.ok(ids.byteLength <= 20 * ids.size, `${ids.size}: ${ids.byteLength}`);
  }
  assert.equal(ids.byteLength, 16 * feedWindow);
});
