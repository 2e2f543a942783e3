import type { Claim, FeedPage } from "../../../infra/feed-cache/port.ts";
import { feedPage } from "../../../projections/read-model/reads/feed-page.ts";
import { postsOfAccounts } from "../../../projections/read-model/reads/posts-of-accounts.ts";
import type { FeedFiller } from "../feed-filler.ts";
import type { QueryServices } from "../services.ts";

/**
 * The first step of a page of cards: which posts, by their ids, below `before`, newest first. Fewer
 * than `limit` only when `ended`: nothing follows them.
 */
export type Skeleton = (before: string, limit: number) => Promise<{
  readonly ids: readonly string[];
  readonly ended: boolean;
}>;

/**
 * A reader's feed: from the cache, and below its window from the database. On a miss the reader
 * claims the feed, has the page from the database at once, and the cache is filled behind it.
 */
export function feedSkeleton(
  { sql, cache, logger }: QueryServices,
  filler: FeedFiller,
  readerId: string,
): Skeleton {
  const fromDatabase = async (before: string, limit: number) => {
    const ids = await feedPage(sql, readerId, before, limit);
    return { ids, ended: ids.length < limit };
  };
  /** A cache out of reach costs speed, not the feed. */
  const orElse = <T>(fallback: T) => (error: unknown): T => {
    logger.warn("the feed cache cannot be reached", { error });
    return fallback;
  };
  return async (before, limit) => {
    const page = await cache.read(readerId, { before, limit })
      .catch(orElse<FeedPage>({ state: "filling" }));
    if (page.state === "complete") {
      const { ids } = page;
      if (!page.endsAtFloor) return { ids, ended: ids.length < limit };
      const older = await fromDatabase(ids.at(-1) ?? before, limit - ids.length);
      return { ids: [...ids, ...older.ids], ended: older.ended };
    }
    const claim = page.state === "missing"
      ? await cache.claim(readerId).catch(orElse<Claim | undefined>(undefined))
      : undefined;
    const served = await fromDatabase(before, limit);
    if (claim) filler.fill(claim);
    return served;
  };
}

/** The posts of one account. */
export function accountSkeleton({ sql }: QueryServices, accountId: string): Skeleton {
  return async (before, limit) => {
    const posts = await postsOfAccounts(sql, [accountId], before, limit);
    const ids = posts.get(accountId) ?? [];
    return { ids, ended: ids.length < limit };
  };
}
