import { z } from "zod";
import { explainFeed } from "../../projections/feeds/explain.ts";
import { verifyFeeds } from "../../projections/feeds/verify.ts";
import { accountIdByHandle } from "../../projections/read-model/reads/accounts.ts";
import { followFeeds } from "../../projections/feeds/live-feeds.ts";
import { operation, type OperatorEngines } from "./operation.ts";

/** What `deno task feeds` asks. */
export const feedOperations = {
  "accounts.find": operation({
    input: z.object({ handle: z.string() }),
    run: async ({ live }, { handle }) => await accountIdByHandle(live, handle) ?? null,
  }),
  "feeds.explain": operation({
    input: z.object({ readerId: z.uuid(), postId: z.uuid() }),
    run: (engines, { readerId, postId }) => explainFeed(inspected(engines), readerId, postId),
  }),
  "feeds.verify": operation({
    input: z.object({ readerIds: z.array(z.uuid()).optional(), repair: z.boolean() }),
    run: (engines, { readerIds, repair }, { onStep }) => {
      let read = 0;
      return verifyFeeds(inspected(engines), {
        ...(readerIds && { readerIds }),
        repair,
        onRead: (records) => onStep({ what: "log", done: read += records }),
        onCompared: (done, of) => onStep({ what: "feeds", done, of }),
      });
    },
  }),
};

function inspected({ log, live, feedCaches }: OperatorEngines) {
  const { feedCache: cache, authorCache } = followFeeds(live, feedCaches);
  return { log, sql: live, cache, authorCache };
}
