import type { FeedCache, FeedPage } from "../../infra/feed-cache/port.ts";
import { closedAmong } from "../read-model/reads/accounts.ts";
import { standingFollows } from "../read-model/reads/standing-follows.ts";
import { checkpoints, type Inspected, place } from "./explain.ts";
import { eventsOf } from "./history.ts";

/** A cached list that is not what the log says. */
export interface Difference {
  readonly kind: "feed" | "author's list";
  readonly id: string;
  /** Posts that belong there, and are lacking. */
  readonly missing: readonly string[];
  /** Ids of posts that the log does not know. */
  readonly unknown: readonly string[];
}

export interface Verified {
  /** Lists that were cached, and so compared. */
  readonly feeds: number;
  readonly lists: number;
  /** Left out, since the projection had still to take what the log says of them. */
  readonly behind: number;
  readonly differences: readonly Difference[];
  readonly repaired: number;
}

export interface VerifyOptions {
  /** All accounts when left out. */
  readonly readerIds?: readonly string[];
  /** Forget what differs: it is filled anew when it is next read. */
  readonly repair: boolean;
  onRead?(records: number): void;
  onCompared?(done: number, of: number): void;
}

const atATime = 50;

/**
 * Compares the cached feeds, and the lists of authors that are pulled, with the log. Of ids too many
 * (posts deleted, accounts unfollowed) nothing is said, for readers filter them. May be run while
 * everything goes on: what has not been fanned out yet is not expected.
 */
export async function verifyFeeds(
  inspected: Inspected,
  { readerIds, repair, onRead, onCompared }: VerifyOptions,
): Promise<Verified> {
  const { sql, cache, authorCache, feedsVersion } = inspected;
  // Before the log is read, and the cache after it: what is taken meanwhile can only be too much.
  const { feeds: next } = await checkpoints(sql, feedsVersion);
  const said = await fromLog(inspected, next, onRead);
  const readers = readerIds ?? said.accounts;
  const differences: Difference[] = [];
  const pulled = new Set<string>();
  let [feeds, lists, behind] = [0, 0, 0];

  for (let at = 0; at < readers.length; at += atATime) {
    await Promise.all(
      readers.slice(at, at + atATime).map(async (readerId) => {
        const page = await cache.read(readerId, { limit: cache.window + 1 });
        if (page.state !== "complete") return;
        if (said.behind.has(readerId)) return void behind++;
        feeds++;
        page.pulls.forEach((authorId) => pulled.add(authorId));
        const authors = [...said.following.get(readerId) ?? []]
          .filter((authorId) => !page.pulls.includes(authorId));
        const missing = lacking(page, authors, said);
        differences.push(...differs("feed", readerId, page, missing, said));
      }),
    );
    onCompared?.(Math.min(at + atATime, readers.length), readers.length);
  }
  for (const authorId of pulled) {
    const page = await authorCache.read(authorId, { limit: authorCache.window + 1 });
    if (page.state !== "complete") continue;
    lists++;
    const missing = lacking(page, [authorId], said);
    differences.push(...differs("author's list", authorId, page, missing, said));
  }
  const standing = await stillStanding(inspected, differences, said);
  if (repair) {
    const drop = (cache: FeedCache, kind: Difference["kind"]) =>
      cache.drop(standing.filter((one) => one.kind === kind).map(({ id }) => id));
    await drop(cache, "feed");
    await drop(authorCache, "author's list");
  }
  const repaired = repair ? standing.length : 0;
  return { feeds, lists, behind, differences: standing, repaired };
}

interface Said {
  readonly accounts: string[];
  /** By author, the posts that stand and have been fanned out. */
  readonly posts: Map<string, string[]>;
  /** By post, whether it stands or not. */
  readonly authors: Map<string, string>;
  readonly newestPost: string;
  readonly following: Map<string, Set<string>>;
  /** Readers whose follows have not all been settled. */
  readonly behind: Set<string>;
}

async function fromLog(
  { log, sql }: Inspected,
  next: ReadonlyMap<string, number>,
  onRead?: (records: number) => void,
): Promise<Said> {
  const accounts = new Set<string>();
  const closed = new Set<string>();
  const following = new Map<string, Set<string>>();
  const behind = new Set<string>();
  const authors = new Map<string, string>();
  const stands = new Set<string>();
  let newestPost = "";
  for await (const { event } of eventsOf(log, "accounts", { onRead })) {
    accounts.add(event.type === "AccountRegistered" ? event.data.accountId : "");
    if (event.type === "AccountClosed") closed.add(event.data.accountId);
  }
  accounts.delete("");
  for await (const { event, offset, ...at } of eventsOf(log, "follows", { onRead })) {
    if (event.type !== "AccountFollowed" && event.type !== "AccountUnfollowed") continue;
    const { followerId, followeeId } = event.data;
    if (offset >= (next.get(place(at)) ?? 0)) behind.add(followerId);
    const followees = following.getOrInsertComputed(followerId, () => new Set());
    if (event.type === "AccountFollowed") followees.add(followeeId);
    else followees.delete(followeeId);
  }
  for await (const { event, offset, ...at } of eventsOf(log, "posts", { onRead })) {
    if (event.type === "PostDeleted") stands.delete(event.data.postId);
    if (event.type !== "PostCreated") continue;
    const { postId, authorId } = event.data;
    authors.set(postId, authorId);
    if (postId > newestPost) newestPost = postId;
    if (offset < (next.get(place(at)) ?? 0)) stands.add(postId);
  }
  const underWay = await sql.query<{ id: string }>("SELECT fan_out_id AS id FROM feeds.fan_outs");
  for (const { id } of underWay) stands.delete(id);
  const posts = new Map<string, string[]>();
  for (const postId of stands) {
    const authorId = authors.get(postId) ?? "";
    if (!closed.has(authorId)) posts.getOrInsertComputed(authorId, () => []).push(postId);
  }
  return { accounts: [...accounts], posts, authors, newestPost, following, behind };
}

/** Posts of these authors that a complete list should have and has not. */
function lacking(
  page: Extract<FeedPage, { state: "complete" }>,
  authors: readonly string[],
  { posts }: Said,
): string[] {
  const there = new Set(page.ids);
  const from = page.endsAtFloor ? page.ids.at(-1) ?? "g" : "";
  return authors.flatMap((authorId) => posts.get(authorId) ?? [])
    .filter((postId) => postId >= from && !there.has(postId));
}

function differs(
  kind: Difference["kind"],
  id: string,
  page: Extract<FeedPage, { state: "complete" }>,
  missing: readonly string[],
  { authors, newestPost }: Said,
): Difference[] {
  // Not of what was posted after the log was read.
  const unknown = page.ids.filter((postId) => postId <= newestPost && !authors.has(postId));
  return missing.length + unknown.length > 0 ? [{ kind, id, missing, unknown }] : [];
}

/**
 * Those that are no effect of what has been said since: an unfollow, a deletion, a closed account, or a
 * post that was appended behind where the log had been read. The read model has a post before feeds do.
 */
async function stillStanding(
  { sql }: Inspected,
  differences: readonly Difference[],
  { authors }: Said,
): Promise<Difference[]> {
  const standing: Difference[] = [];
  for (const difference of differences) {
    const { kind, id } = difference;
    const said = await sql.query<{ id: string }>(
      "SELECT post_id AS id FROM read_model.post_authors WHERE post_id = ANY ($1::uuid[])",
      [difference.unknown],
    );
    const unknown = difference.unknown.filter((postId) => !said.some((row) => row.id === postId));
    const live = await sql.query<{ id: string }>(
      `SELECT post_id AS id FROM read_model.posts
       WHERE post_id = ANY ($1::uuid[]) AND author_id = ANY ($2::uuid[]) AND deleted_at IS NULL`,
      [difference.missing, difference.missing.map((postId) => authors.get(postId))],
    );
    const pairs = live.map((row) => ({
      followerId: id,
      followeeId: authors.get(row.id) ?? "",
      postId: row.id,
    }));
    const closed = await closedAmong(sql, pairs.map(({ followeeId }) => followeeId));
    const followed = kind === "feed" ? await standingFollows(sql, pairs) : pairs;
    const missing = followed.filter(({ followeeId }) => !closed.has(followeeId))
      .map(({ postId }) => postId).sort().reverse();
    if (missing.length + unknown.length > 0) standing.push({ ...difference, missing, unknown });
  }
  return standing;
}
