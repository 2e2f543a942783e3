import { z } from "zod";
import { explainFeed } from "../../projections/feeds/explain.ts";
import { verifyFeeds } from "../../projections/feeds/verify.ts";
import { accountIdByHandle } from "../../projections/read-model/reads/accounts.ts";
import { operation } from "./operation.ts";

/** What `deno task feeds` asks. */
export const feedOperations = {
  "accounts.find": operation({
    input: z.object({ handle: z.string() }),
    run: async ({ live }, { handle }) => await accountIdByHandle(live, handle) ?? null,
  }),
  "feeds.explain": operation({
    input: z.object({ readerId: z.uuid(), postId: z.uuid() }),
    run: ({ live, log, feedCache, authorCache }, { readerId, postId }) =>
      explainFeed({ log, sql: live, cache: feedCache, authorCache }, readerId, postId),
  }),
  "feeds.verify": operation({
    input: z.object({ readerIds: z.array(z.uuid()).optional(), repair: z.boolean() }),
    run: ({ live, log, feedCache, authorCache }, { readerIds, repair }, { onStep }) => {
      let read = 0;
      return verifyFeeds({ log, sql: live, cache: feedCache, authorCache }, {
        ...(readerIds && { readerIds }),
        repair,
        onRead: (records) => onStep({ what: "log", done: read += records }),
        onCompared: (done, of) => onStep({ what: "feeds", done, of }),
      });
    },
  }),
};
