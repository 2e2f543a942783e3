import type { FeedCache } from "../../infra/feed-cache/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";

/** What the feeds projection works with. */
export interface FeedsServices {
  /** By reader: what they are to see. */
  readonly cache: FeedCache;
  /** By author: their own posts, for readers who pull. */
  readonly authorCache: FeedCache;
  /** The read model, as it is now: not a replica of it. */
  readonly sql: SqlQueries;
  /** Followers from which on an author's posts are left to readers. */
  readonly pullThreshold: number;
  /** Followers read, and feeds written, at a time; what a post may take in the batch it came in. */
  readonly followersAtATime?: number;
}

export const defaultPullThreshold = 10_000;
export const defaultFollowersAtATime = 1_000;
