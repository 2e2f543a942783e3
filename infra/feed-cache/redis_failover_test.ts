import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { newId } from "../event-log/ids.ts";
import { withFailingCluster } from "../redis/testing_cluster.ts";
import type { FeedCache, FeedPage } from "./port.ts";
import { createRedisFeedCache } from "./redis.ts";

/** As the projection does: again until it is done. */
async function insist(act: () => Promise<void>): Promise<void> {
  while (!await act().then(() => true, () => false)) continue;
}

const [old, fresh, author] = [newId(), newId(), newId()];

/** What is done to a feed, and what is shown of it then. */
const done: readonly {
  readonly act: (feeds: FeedCache, reader: string) => Promise<void>;
  readonly shown: Partial<FeedPage>;
}[] = [
  { act: (feeds, reader) => feeds.push([reader], fresh), shown: { ids: [fresh, old], pulls: [] } },
  { act: (feeds, reader) => feeds.pull([reader], author), shown: { ids: [old], pulls: [author] } },
  {
    act: (feeds, reader) => feeds.merge(reader, [fresh], true),
    shown: { ids: [fresh, old], pulls: [] },
  },
  { act: (feeds, reader) => feeds.drop([reader]), shown: { state: "missing" } },
];

if (!Deno.env.has("SHUTTERLOG_TEST_REDIS_CLUSTER")) {
  console.log("SHUTTERLOG_TEST_REDIS_CLUSTER is not set: feeds are not failed over");
} else {
  Deno.test("Redis Cluster: what is done at a master that was replaced is done at its successor", () =>
    withFailingCluster((client) => createRedisFeedCache({ client }), async (cluster) => {
      const behind = await cluster.behind();
      await behind.push([newId()], newId());
      const master = await cluster.masterOf(`feed:${newId()}`);
      const successor = await cluster.replicaOf(master);
      const readers: string[] = [];
      while (readers.length < done.length) {
        const reader = newId();
        if (await cluster.masterOf(`feed:${reader}`) === master) readers.push(reader);
      }
      master.freeze();
      await cluster.promoted(successor);
      const besides = await cluster.besides(master);
      for (const reader of readers) {
        const claim = await besides.claim(reader);
        assert.ok(claim && await besides.fill(claim, [old], true));
      }
      const acting = Promise.all(
        done.map(({ act }, nth) => insist(() => act(behind, readers[nth] ?? ""))),
      );
      // It takes what has come to it first before it hears that it was replaced.
      await delay(100);
      master.thaw();
      await acting;
      for (const [nth, { shown }] of done.entries()) {
        const page = await besides.read(readers[nth] ?? "", { limit: 10 });
        assert.deepEqual(page, { ...page, ...shown });
      }
    }));
}
