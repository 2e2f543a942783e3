import type { EffectProjection } from "../runner/projection.ts";
import { pushToFollowers } from "./fan-out.ts";
import type { FeedsServices } from "./services.ts";
import { settleFollows } from "./settle-follows.ts";

/**
 * Keeps the cached feeds of readers right as posts and follows arrive.
 *
 * Of a post and a follow, which lie in different topics and are seen in any order, whichever is seen
 * second finds the other in the read model, because the read model has passed every record before
 * this projection sees it. If it is the post, the follower is pushed to; if it is the follow, the
 * post is merged in with the others. The same holds for a reader's miss: a post pushed before their
 * claim is in the database they fill from.
 *
 * Everything here is idempotent, since a batch is delivered at least once. Deleted posts, and posts
 * of accounts that are closed or blocked, stay in cached feeds: readers filter them.
 */
export function createFeeds(services: FeedsServices): EffectProjection {
  return {
    kind: "effect",
    name: "feeds",
    version: 1,
    topics: ["posts", "follows", "accounts"],
    after: ["read_model"],
    async apply(events, signal) {
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
      for (const [authorId, postIds] of posts) {
        await pushToFollowers(authorId, postIds, services, signal);
      }
      await settleFollows(follows, services, signal);
      if (closed.length > 0) await services.cache.drop(closed);
    },
  };
}
