import { followerPages } from "../read-model/reads/follower-pages.ts";
import type { FeedsServices } from "./services.ts";

/** Followers read, and feeds pushed to, at a time. */
const followersAtATime = 1000;

/** Pushes an author's new posts to the followers whose feeds are cached. */
export async function pushToFollowers(
  authorId: string,
  postIds: readonly string[],
  { cache, sql }: FeedsServices,
  signal: AbortSignal,
): Promise<void> {
  for await (const followerIds of followerPages(sql, authorId, followersAtATime)) {
    for (const postId of postIds) {
      signal.throwIfAborted();
      await cache.push(followerIds, postId);
    }
  }
}
