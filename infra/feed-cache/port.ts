/**
 * Cached feeds: per reader, the ids of the newest posts of the accounts they follow, newest first.
 * Post ids are UUIDv7, whose order is the order of a feed. A feed holds at most `window` ids.
 *
 * A feed is missing, claimed or complete, and is forgotten whole or not at all. A claimed feed takes
 * pushes but is not served from, since what was posted before the claim is not in it yet. A complete
 * feed lacks no id of the reader's feed that is not below its floor, except of the authors it names
 * as pulled: whoever reads it reads their own lists too. It gets a floor when ids are cut off at the
 * window, or when it is given posts that do not reach back to the first one; the floor never sinks.
 * Without one it reaches back to the reader's first post.
 *
 * It may hold ids too many (of posts since deleted, of accounts since unfollowed) and name authors
 * too many: readers filter what they show, each id once. It may never hold or name too few.
 *
 * So every operation adds to a feed or forgets it whole, and none can come too late, or twice, or in
 * the wrong order: a process that was held up for a minute and then goes on does no harm.
 *
 * The same holds for the list of one account's own posts, which is cached as if the account were the
 * reader of it: in a cache of its own, for readers who pull.
 */
export interface FeedCache {
  /** Ids in one feed, at most. */
  readonly window: number;
  /**
   * Adds a post to the feeds that exist, in its place by id, once. Missing feeds stay missing.
   * Ids below a feed's floor are dropped. Idempotent.
   */
  push(readerIds: readonly string[], postId: string): Promise<void>;
  /**
   * Adds an account's newest posts to one feed if it exists, under the same rules: for a follow.
   * Unless they reach that account's first post, the oldest of them is the feed's floor from then
   * on if the floor was lower: below it the account has posts that the feed lacks. Atomic and
   * idempotent.
   */
  merge(readerId: string, postIds: readonly string[], reachesFirst: boolean): Promise<void>;
  /**
   * Names an author as pulled in the feeds that exist, claimed ones too: whose posts need not be
   * pushed to them from then on, for as long as each of them lives. Idempotent.
   */
  pull(readerIds: readonly string[], authorId: string): Promise<void>;
  /**
   * Reads up to `limit` ids below `before` (or from the newest), newest first.
   * `missing`: nobody has claimed it, or it was evicted. `filling`: claimed, not complete.
   * At once where feeds are in memory.
   */
  read(
    readerId: string,
    page: { before?: string; limit: number },
  ): FeedPage | Promise<FeedPage>;
  /**
   * Creates the feed, empty and claimed, so that pushes land from now on. Undefined when it exists
   * already: someone else is filling it, or has. A claim not filled within `claimSeconds` lapses and
   * the feed is missing again.
   */
  claim(readerId: string): Promise<Claim | undefined>;
  /**
   * Completes a claimed feed by merging in what the database holds, newest first, read after the
   * claim was made. `reachesFirst`: there is nothing older than these. Does nothing when the claim
   * has lapsed or the feed was dropped since; resolves to whether it was filled.
   */
  fill(claim: Claim, postIds: readonly string[], reachesFirst: boolean): Promise<boolean>;
  /** Forgets feeds: they are missing until claimed again. */
  drop(readerIds: readonly string[]): Promise<void>;
  check(): Promise<void>;
  close(): Promise<void>;
}

export type FeedPage =
  | { readonly state: "missing" | "filling" }
  | {
    readonly state: "complete";
    readonly ids: readonly string[];
    /**
     * Whether there are fewer than `limit` ids because the cache's window ends: older posts, if any,
     * are the database's to answer. With fewer and false, the feed has ended: there is no older post.
     */
    readonly endsAtFloor: boolean;
    /** Authors whose own lists belong to this page too, in no order. */
    readonly pulls: readonly string[];
  };

export interface Claim {
  readonly readerId: string;
  readonly token: string;
}

/** The cached lists of one version of the feeds. */
export interface FeedsOfVersion {
  /** By reader: their feeds. */
  readonly feedCache: FeedCache;
  /** By author: their own posts, for readers who pull. */
  readonly authorCache: FeedCache;
}

/** Versions of the feeds stand side by side, each under keys of its own. */
export interface FeedCaches {
  at(version: number): FeedsOfVersion;
  /** Frees what a version holds, at once or in time. */
  drop(version: number): Promise<void>;
  check(): Promise<void>;
  close(): Promise<void>;
}

/** Ids in one cached feed, at most: what every cache of the product is made with. */
export const feedWindow = 500;
/** Seconds within which a claim must be filled. */
export const claimSeconds = 10;
