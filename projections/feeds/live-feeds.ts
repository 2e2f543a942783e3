import type { FeedCache, FeedCaches, FeedsOfVersion } from "../../infra/feed-cache/port.ts";
import type { LiveSql } from "../runner/live-schemas.ts";

/**
 * The cached lists of the version that is live, as `live` knows it: give it the same `live` by which
 * the fillers read the database. A claim made in one version fills nothing in another, where its token
 * is not known: what the filler has read in between, and who it found pulled, is of the one it filled.
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
    claim: async (readerId) => (await now()).claim(readerId),
    fill: async (...filled) => (await now()).fill(...filled),
    drop: async (readerIds) => (await now()).drop(readerIds),
    check: async () => (await now()).check(),
    close: () => Promise.resolve(),
  };
}
