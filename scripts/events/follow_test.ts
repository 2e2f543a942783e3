import assert from "node:assert/strict";
import { partitionCount } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { encodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { partitionOf } from "../../infra/event-log/partitioner.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { followed, latenessMs } from "./follow.ts";
import { timeOf } from "./merge.ts";
import { openStores, withFolders } from "./testing.ts";

const noText: TextSealer = {
  seal: (_owner, _context, text) => Promise.resolve(text),
  open: (_owner, _context, text) => Promise.resolve(text),
};

/** In a partition of its own, since none is ever reordered. */
function like(time: number, partition: number) {
  const [id, accountId] = [newId(), newId()];
  let postId = newId();
  while (partitionOf(postId, partitionCount) !== partition) postId = newId();
  const event: DomainEvent = {
    ...{ id, type: "PostLiked", time: new Date(time).toISOString() },
    data: { postId, accountId },
  };
  return encodeEvent(event, noText);
}

Deno.test("followed: what comes within the window comes in order, what is later comes when it does", async () => {
  await withFolders(1, async (dataDir = "") => {
    await using stores = await openStores(dataDir);
    const { log } = stores;
    const begun = Date.now();
    let now = begun;
    await log.append([await like(begun - 5_000, 0)]);
    const starts = (await log.watermarks(["engagement"]))
      .map(({ topic, partition }) => ({ topic, partition, from: 0 }));
    const stop = new AbortController();
    const out = followed(log, starts, stop.signal, () => now);
    const times: number[] = [];
    const take = async (count: number) => {
      while (times.length < count) {
        const { value = [] }: { value?: LogRecord[] } = await out.next();
        times.push(...value.map((record) => timeOf(record) - begun));
      }
    };
    await take(1);
    assert.deepEqual(times, [-5_000], "what was there comes at once");
    await log.append([await like(begun + 300, 3)]);
    const taking = take(4);
    // Some looks at the log, at each of which the one that is there might have been let go.
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const time of [100, 200]) {
      await log.append([await like(begun + time, time / 100)]);
    }
    now = begun + 300 + latenessMs;
    await taking;
    assert.deepEqual(times.slice(1), [100, 200, 300]);
    await log.append([await like(begun + 50, 4)]);
    await take(5);
    assert.equal(times[4], 50, "too late to be in its place, and not lost");
    stop.abort();
    assert.equal((await out.next()).done, true);
  });
});
