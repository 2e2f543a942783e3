import { feedWindow } from "../../infra/feed-cache/port.ts";
import { newest } from "../read-model/reads/keyset.ts";
import { postsOfAccounts } from "../read-model/reads/posts-of-accounts.ts";
import { standingFollows } from "../read-model/reads/standing-follows.ts";
import type { FeedsServices } from "./services.ts";

interface Follow {
  readonly followerId: string;
  readonly followeeId: string;
}

/** Follows settled at a time: at most a window of post ids each is held in memory. */
const followsAtATime = 50;

/**
 * Brings cached feeds in line with follows that have changed: where the follow stands, the
 * followee's newest posts are merged in; where it does not, they are taken out. What the read model
 * says is what counts, not what the event said. It is ahead of the event, so an unfollow that is
 * delivered again after a later follow takes nothing out.
 */
export async function settleFollows(
  follows: readonly Follow[],
  services: FeedsServices,
  signal: AbortSignal,
): Promise<void> {
  const distinct = new Map(
    follows.map((follow) => [`${follow.followerId} ${follow.followeeId}`, follow] as const),
  );
  const pending = [...distinct.values()];
  for (let at = 0; at < pending.length; at += followsAtATime) {
    signal.throwIfAborted();
    await settle(pending.slice(at, at + followsAtATime), services, signal);
  }
}

async function settle(
  follows: readonly Follow[],
  { cache, sql }: FeedsServices,
  signal: AbortSignal,
): Promise<void> {
  const followees = new Set(follows.map(({ followeeId }) => followeeId));
  // One more than a feed holds tells whether the followee's first post is among them.
  const posts = await postsOfAccounts(sql, [...followees], newest, feedWindow + 1);
  const newestPosts = ({ followeeId }: Follow) => posts.get(followeeId) ?? [];
  const merge = ({ followerId, ...follow }: Follow) => {
    const postIds = newestPosts({ followerId, ...follow });
    const reachesFirst = postIds.length <= feedWindow;
    return cache.merge(followerId, postIds.slice(0, feedWindow), reachesFirst);
  };

  const standing = new Set(await standingFollows(sql, follows));
  const ended = follows.filter((follow) => !standing.has(follow));
  signal.throwIfAborted();
  await Promise.all([...standing].map(merge));
  await Promise.all(
    ended.map((follow) => cache.remove(follow.followerId, newestPosts(follow))),
  );
  // A member of the group that has lost its partitions without knowing may have been held up until
  // the new owner settled a follow that came after, and have taken out what that one merged in.
  await Promise.all((await standingFollows(sql, ended)).map(merge));
}
