import { closedAmong } from "../read-model/reads/accounts.ts";
import { newest } from "../read-model/reads/keyset.ts";
import { postsOfAccounts } from "../read-model/reads/posts-of-accounts.ts";
import { standingFollows } from "../read-model/reads/standing-follows.ts";
import { pulledAmong } from "./pulled-authors.ts";
import type { FeedsServices } from "./services.ts";

interface Follow {
  readonly followerId: string;
  readonly followeeId: string;
}

/** Follows settled at a time: at most a window of post ids each is held in memory. */
const followsAtATime = 50;

/**
 * Brings cached feeds in line with follows that have changed: where the follow stands, the
 * followee's newest posts are merged in; where it does not, the feed is forgotten, and filled without
 * them when its reader comes back. What the read model says is what counts, not what the event said:
 * it is ahead of the event, so an unfollow that is delivered again after a later follow is none.
 *
 * Forgetting costs one filling. Taking posts out would cost less, but could come too late: after the
 * merge of a follow that came after. Readers filter by who they follow in any case.
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
  const standing = await standingFollows(sql, follows);
  const ended = new Set(follows).difference(new Set(standing));
  if (ended.size > 0) await forget([...ended], { cache, sql });
  if (standing.length === 0) return;

  const followees = [...new Set(standing.map(({ followeeId }) => followeeId))];
  // In this order: see `authorsToPush`.
  const pulled = await pulledAmong(sql, followees);
  // One more than a feed holds tells whether the followee's first post is among them.
  const posts = await postsOfAccounts(sql, followees, newest, cache.window + 1);
  signal.throwIfAborted();
  await Promise.all(standing.map(async ({ followerId, followeeId }) => {
    const postIds = posts.get(followeeId) ?? [];
    const reachesFirst = postIds.length <= cache.window;
    await cache.merge(followerId, postIds.slice(0, cache.window), reachesFirst);
    if (pulled.has(followeeId)) await cache.pull([followerId], followeeId);
  }));
}

/** A closed account loses all its followers at once, and none need be filled for that. */
async function forget(
  ended: readonly Follow[],
  { cache, sql }: Pick<FeedsServices, "cache" | "sql">,
): Promise<void> {
  const closed = await closedAmong(sql, ended.map(({ followeeId }) => followeeId));
  const due = ended.filter(({ followeeId }) => !closed.has(followeeId));
  await cache.drop([...new Set(due.map(({ followerId }) => followerId))]);
}
