import {
  type Claim,
  claimSeconds,
  type FeedCache,
  type FeedCaches,
  type FeedPage,
  feedWindow,
} from "./port.ts";
import { compareIds, parseId, SortedIds } from "./sorted-ids.ts";

const none: readonly string[] = [];

interface Feed {
  readonly ids: SortedIds;
  floor: Uint8Array | undefined;
  readonly pulls: Set<string>;
  /** Until it is filled. */
  claim: { readonly token: string; readonly lapsesAt: number } | undefined;
}

/** Above every id there is. */
const newest = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/**
 * Feeds in this process's memory, at most 20 bytes an entry and 8 KB a feed, and 1.5 KB more for one
 * that is being read. Beyond `maximumFeeds` (10,000 when left out: 95 MB) the feed whose reader has been away longest is evicted; pushes do
 * not keep a feed.
 */
export function createMemoryFeedCache(
  { now = Date.now, maximumFeeds = 10_000, window = feedWindow }: {
    now?: () => number;
    maximumFeeds?: number;
    window?: number;
  } = {},
): FeedCache {
  /** In the order of their last reading, which is a Map's own. */
  const feeds = new Map<string, Feed>();

  const find = (readerId: string): Feed | undefined => {
    const feed = feeds.get(readerId);
    if (feed?.claim === undefined || now() < feed.claim.lapsesAt) return feed;
    feeds.delete(readerId);
    return undefined;
  };
  const keep = (readerId: string, feed: Feed): void => {
    feeds.delete(readerId);
    feeds.set(readerId, feed);
    for (const [oldest] of feeds) {
      if (feeds.size <= maximumFeeds) break;
      feeds.delete(oldest);
    }
  };

  const push = (readerIds: readonly string[], postId: string): void => {
    const id = parseId(postId);
    for (const readerId of readerIds) {
      const feed = find(readerId);
      if (feed) add(feed, id);
    }
  };

  const merge = (readerId: string, postIds: readonly string[], reachesFirst: boolean): void => {
    const feed = find(readerId);
    if (feed) addAll(feed, postIds, reachesFirst);
  };

  const pull = (readerIds: readonly string[], authorId: string): void => {
    for (const readerId of readerIds) find(readerId)?.pulls.add(authorId);
  };

  const read = (readerId: string, page: { before?: string; limit: number }): FeedPage => {
    const feed = find(readerId);
    if (!feed) return { state: "missing" };
    keep(readerId, feed);
    if (feed.claim) return { state: "filling" };
    const { before = newest } = page;
    const ids = feed.ids.below(before === newest ? undefined : parseId(before), page.limit);
    return {
      state: "complete",
      ids,
      endsAtFloor: ids.length < page.limit && feed.floor !== undefined,
      pulls: feed.pulls.size === 0 ? none : [...feed.pulls],
    };
  };

  const claim = (readerId: string): Claim | undefined => {
    if (find(readerId)) return undefined;
    const token = crypto.randomUUID();
    keep(readerId, {
      ids: new SortedIds(window),
      floor: undefined,
      pulls: new Set(),
      claim: { token, lapsesAt: now() + claimSeconds * 1000 },
    });
    return { readerId, token };
  };

  const fill = (claim: Claim, postIds: readonly string[], reachesFirst: boolean): boolean => {
    const feed = find(claim.readerId);
    if (feed?.claim?.token !== claim.token) return false;
    addAll(feed, postIds, reachesFirst);
    feed.claim = undefined;
    return true;
  };

  return {
    window,
    push: settle(push),
    merge: settle(merge),
    pull: settle(pull),
    read,
    claim: settle(claim),
    fill: settle(fill),
    drop: settle((readerIds: readonly string[]) => {
      for (const readerId of readerIds) feeds.delete(readerId);
    }),
    check: () => Promise.resolve(),
    close: settle(() => feeds.clear()),
  };
}

/** Every version in this process's memory. */
export function createMemoryFeedCaches(): FeedCaches {
  const versions = new Map<number, ReturnType<FeedCaches["at"]>>();
  return {
    at: (version) =>
      versions.getOrInsertComputed(version, () => ({
        feedCache: createMemoryFeedCache(),
        authorCache: createMemoryFeedCache(),
      })),
    drop: settle((version: number) => void versions.delete(version)),
    check: () => Promise.resolve(),
    close: settle(() => versions.clear()),
  };
}

function add(feed: Feed, id: Uint8Array): void {
  if (feed.floor && compareIds(id, feed.floor) < 0) return;
  if (feed.ids.add(id)) feed.floor = feed.ids.oldest();
}

function addAll(feed: Feed, postIds: readonly string[], reachesFirst: boolean): void {
  const ids = postIds.map(parseId);
  for (const id of ids) add(feed, id);
  const [oldest] = reachesFirst ? [] : ids.sort(compareIds);
  if (!oldest || (feed.floor && compareIds(oldest, feed.floor) <= 0)) return;
  feed.floor = oldest;
  feed.ids.deleteBelow(oldest);
}

/** Each operation runs whole in one turn of the event loop, and so is atomic. */
function settle<Parameters extends unknown[], Result>(
  operation: (...parameters: Parameters) => Result,
): (...parameters: Parameters) => Promise<Result> {
  return (...parameters) => new Promise((resolve) => resolve(operation(...parameters)));
}
