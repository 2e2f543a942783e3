import type { Claim, FeedCache, FeedCaches, FeedsOfVersion } from "../../infra/feed-cache/port.ts";
import type { LiveSql } from "../runner/live-schemas.ts";

/** The version of the feeds whose cached lists `live` leads to now. */
export async function liveFeedsVersion(live: Pick<LiveSql, "pointer">): Promise<number> {
  return (await live.pointer()).versions.get("feeds") ?? 1;
}

/**
 * The cached lists of the version that is live, as `live` knows it: give it the same `live` by which
 * the fillers read the database. A claim is filled only in the version it was made in, and only while
 * that is the live one: in between the filler has read, and named in the list, who is pulled in it.
 */
export function followFeeds(live: Pick<LiveSql, "pointer">, caches: FeedCaches): FeedsOfVersion {
  return {
    feedCache: followOne(live, (version) => caches.at(version).feedCache),
    authorCache: followOne(live, (version) => caches.at(version).authorCache),
  };
}

function followOne(
  live: Pick<LiveSql, "pointer">,
  at: (version: number) => FeedCache,
): FeedCache {
  const claimed = new WeakMap<Claim, number>();
  const versionNow = () => {
    const pointer = live.pointer();
    // Awaited only when it has to be read: this is on the way of every reading.
    return pointer instanceof Promise
      ? pointer.then(({ versions }) => versions.get("feeds") ?? 1)
      : pointer.versions.get("feeds") ?? 1;
  };
  const now = async () => at(await versionNow());
  return {
    get window() {
      return at(1).window;
    },
    push: async (readerIds, postId) => (await now()).push(readerIds, postId),
    merge: async (...merged) => (await now()).merge(...merged),
    pull: async (readerIds, authorId) => (await now()).pull(readerIds, authorId),
    read(readerId, page) {
      const version = versionNow();
      return typeof version === "number"
        ? at(version).read(readerId, page)
        : version.then((version) => at(version).read(readerId, page));
    },
    async claim(readerId) {
      const version = await versionNow();
      const claim = await at(version).claim(readerId);
      if (claim) claimed.set(claim, version);
      return claim;
    },
    async fill(claim, postIds, reachesFirst) {
      const version = await versionNow();
      if (claimed.get(claim) !== version) return false;
      return await at(version).fill(claim, postIds, reachesFirst);
    },
    drop: async (readerIds) => (await now()).drop(readerIds),
    check: async () => (await now()).check(),
    close: () => Promise.resolve(),
  };
}
