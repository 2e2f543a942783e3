import type { EffectProjection } from "../runner/projection.ts";
import { fanOutPosts } from "./fan-out.ts";
import { postsReached } from "./freshness.ts";
import type { FeedsServices } from "./services.ts";
import { settleFollows } from "./settle-follows.ts";
import { FanOutWorker } from "./worker.ts";

export interface Feeds {
  readonly projection: EffectProjection;
  /** Carries on with fan-outs that are larger than a batch may do. */
  readonly worker: FanOutWorker;
}

/** What the feeds remember between batches. */
export const feedsMigrations = new URL("migrations/", import.meta.url);

/**
 * Keeps the cached feeds of readers right as posts and follows arrive.
 *
 * Of a post and a follow, which lie in different topics and are seen in any order, whichever is seen
 * second finds the other in the read model, because the read model has passed every record before
 * this projection sees it. If it is the post, the follower is pushed to; if it is the follow, the
 * post is merged in with the others. The same holds for a reader's miss: a post pushed before their
 * claim is in the database they fill from.
 *
 * Everything here may be done twice, late, or by two processes at a time: see the port of the cache.
 * Deleted posts, and posts of accounts that are closed or blocked, stay in cached feeds: readers
 * filter them.
 */
export function createFeeds(services: FeedsServices): Feeds {
  const worker = new FanOutWorker(services);
  const { cache, authorCache } = services;
  const apply: EffectProjection["apply"] = async (events, signal) => {
    const posts = new Map<string, string[]>();
    const follows: { followerId: string; followeeId: string }[] = [];
    const closed: string[] = [];
    for (const { event } of events) {
      switch (event.type) {
        case "PostCreated":
          posts.getOrInsertComputed(event.data.authorId, () => []).push(event.data.postId);
          break;
        case "AccountFollowed":
        case "AccountUnfollowed":
          follows.push(event.data);
          break;
        case "AccountBlocked": {
          // The unfollows it brings may come later, each under its follower's key.
          const { blockerId, blockedId } = event.data;
          follows.push({ followerId: blockerId, followeeId: blockedId });
          follows.push({ followerId: blockedId, followeeId: blockerId });
          break;
        }
        case "AccountClosed":
          closed.push(event.data.accountId);
      }
    }
    if (await fanOutPosts(posts, services, signal)) worker.wake();
    postsReached(events, "batch");
    await settleFollows(follows, services, signal);
    if (closed.length > 0) await Promise.all([cache.drop(closed), authorCache.drop(closed)]);
  };
  const projection: EffectProjection = {
    kind: "effect",
    name: "feeds",
    version: 1,
    topics: ["posts", "follows", "accounts"],
    after: ["read_model"],
    migrations: feedsMigrations,
    apply: (events, signal) => worker.giveWayTo(apply(events, signal)),
  };
  return { projection, worker };
}
