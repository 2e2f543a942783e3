import { followersBelow } from "../read-model/reads/followers-below.ts";
import { newest } from "../read-model/reads/keyset.ts";
import { beginFanOuts } from "./fan-outs.ts";
import { fanOutSlices, followersTold } from "./metrics.ts";
import { authorsToPush } from "./pulled-authors.ts";
import { defaultFollowersAtATime, type FeedsServices } from "./services.ts";

/** Authors fanned out at the same time. */
const authorsAtATime = 8;

/**
 * Brings new posts, by author, to the cached feeds of their followers: to one page of the followers
 * at once, which for almost every author is all of them, and to the others slice by slice, of which
 * a record is made. So a batch does a bounded amount of work, whoever posts. Resolves to whether
 * there is more to do.
 */
export async function fanOutPosts(
  posts: ReadonlyMap<string, readonly string[]>,
  services: FeedsServices,
  signal: AbortSignal,
): Promise<boolean> {
  const { authorCache } = services;
  const authorIds = [...posts.keys()];
  if (authorIds.length === 0) return false;
  // Also of authors who are not pulled, so that the list is right whenever there is one.
  await Promise.all(
    Array.from(
      posts,
      ([authorId, postIds]) =>
        Promise.all(postIds.map((postId) => authorCache.push([authorId], postId))),
    ),
  );
  const { pushed, announced } = await authorsToPush(authorIds, services);
  let more = announced;
  for (let at = 0; at < pushed.length; at += authorsAtATime) {
    const unfinished = await Promise.all(
      pushed.slice(at, at + authorsAtATime).map((authorId) =>
        pushToFirst(authorId, posts.get(authorId) ?? [], services, signal)
      ),
    );
    more ||= unfinished.includes(true);
  }
  return more;
}

async function pushToFirst(
  authorId: string,
  postIds: readonly string[],
  { cache, sql, followersAtATime = defaultFollowersAtATime }: FeedsServices,
  signal: AbortSignal,
): Promise<boolean> {
  const { followerIds, last } = await followersBelow(sql, authorId, newest, followersAtATime);
  for (const postId of postIds) {
    signal.throwIfAborted();
    await cache.push(followerIds, postId);
    fanOutSlices.inc({ kind: "push" });
    followersTold.inc({ kind: "push" }, followerIds.length);
  }
  if (last === undefined) return false;
  await beginFanOuts(sql, authorId, postIds, last);
  return true;
}
