import type { Claim, FeedCache, FeedPage } from "../../../infra/feed-cache/port.ts";
import { feedPage } from "../../../projections/read-model/reads/feed-page.ts";
import type { PostOrigin } from "../../../projections/read-model/reads/posts-by-id.ts";
import { postsOfAccounts } from "../../../projections/read-model/reads/posts-of-accounts.ts";
import type { FeedFiller } from "../feed-filler.ts";
import type { QueryServices } from "../services.ts";
import { mergeLists, type Part } from "./merge-lists.ts";
import { feedReads } from "./metrics.ts";
import { when } from "./when.ts";

/** Some posts, by their ids, newest first. */
export interface Round {
  readonly ids: readonly string[];
  readonly ended: boolean;
  /** Where all of them come from the database, what it knew of them besides. */
  readonly origins?: readonly PostOrigin[];
}

/**
 * The first step of a page of cards: which posts are below `before`. Fewer than `limit` only when
 * `ended`: nothing follows them. At once, when they are in memory.
 */
export type Skeleton = (before: string, limit: number) => Round | Promise<Round>;

type FeedServices = Pick<QueryServices, "sql" | "cache" | "authorCache" | "logger">;

/**
 * A reader's feed: from the cache, with the lists of the authors it names as pulled, and below what
 * these hold from the database. On a miss the reader claims the feed, has the page from the database
 * at once, and the cache is filled behind it.
 *
 * The feed is read before the lists. A post that was left to readers is in its author's list, or in
 * the database that the list is filled from, before any feed may lack it.
 */
export function feedSkeleton(
  { sql, cache, authorCache, logger }: FeedServices,
  filler: FeedFiller,
  readerId: string,
): Skeleton {
  const fromDatabase = async (before: string, limit: number) => {
    const origins = await feedPage(sql, readerId, before, limit);
    const ids = origins.map((origin) => origin.post_id);
    return { ids, ended: ids.length < limit, origins };
  };
  /** A cache out of reach costs speed, not the feed. */
  const orElse = <T>(fallback: T) => (error: unknown): T => {
    logger.warn("the feed cache cannot be reached", { error });
    return fallback;
  };
  const readFrom = (cache: FeedCache, id: string, before: string, limit: number) => {
    const page = cache.read(id, { before, limit });
    return page instanceof Promise ? page.catch(orElse<FeedPage>({ state: "filling" })) : page;
  };
  const claimIn = async (cache: FeedCache, id: string, { state }: FeedPage) =>
    state === "missing"
      ? await cache.claim(id).catch(orElse<Claim | undefined>(undefined))
      : undefined;
  const pulledPart = async (authorId: string, before: string, limit: number): Promise<Part> => {
    const page = await readFrom(authorCache, authorId, before, limit);
    if (page.state === "complete") return page;
    const claim = await claimIn(authorCache, authorId, page);
    const posts = await postsOfAccounts(sql, [authorId], before, limit);
    if (claim) filler.fillAuthor(claim);
    return { ids: posts.get(authorId) ?? [], endsAtFloor: false };
  };
  const missed = async (page: FeedPage, before: string, limit: number) => {
    feedReads.counts.miss++;
    const claim = await claimIn(cache, readerId, page);
    const served = await fromDatabase(before, limit);
    if (claim) filler.fillFeed(claim);
    return served;
  };
  const joined = (parts: readonly Part[], before: string, limit: number) => {
    const { ids, endsAtFloor } = mergeLists(parts, limit);
    feedReads.counts[endsAtFloor ? "below" : "hit"]++;
    if (!endsAtFloor) return { ids, ended: ids.length < limit };
    return fromDatabase(ids.at(-1) ?? before, limit - ids.length)
      .then((older) => ({ ids: [...ids, ...older.ids], ended: older.ended }));
  };
  return (before, limit) =>
    when<FeedPage, Round>(readFrom(cache, readerId, before, limit), (page) => {
      if (page.state !== "complete") return missed(page, before, limit);
      if (page.pulls.length === 0) return joined([page], before, limit);
      const pulling = page.pulls.map((authorId) => pulledPart(authorId, before, limit));
      return Promise.all(pulling).then((pulled) => joined([page, ...pulled], before, limit));
    });
}

/** The posts of one account. */
export function accountSkeleton({ sql }: QueryServices, accountId: string): Skeleton {
  return async (before, limit) => {
    const posts = await postsOfAccounts(sql, [accountId], before, limit);
    const ids = posts.get(accountId) ?? [];
    return { ids, ended: ids.length < limit };
  };
}
