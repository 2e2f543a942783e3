import type { DomainEvent } from "../../domain/events.ts";
import type { FeedCache, FeedPage } from "../../infra/feed-cache/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import type { Recorded } from "../runner/projection.ts";
import { eventsOf, type ReadableLog } from "./history.ts";

export interface Inspected {
  readonly log: ReadableLog;
  /** The live versions. */
  readonly sql: SqlQueries;
  readonly cache: FeedCache;
  readonly authorCache: FeedCache;
  /** Which version of the feeds these are, when it is not the live one. */
  readonly feedsVersion?: number;
}

/** Why a post is, or is not, in a reader's feed. */
export interface Explanation {
  readonly readerId: string;
  readonly postId: string;
  readonly steps: readonly { readonly step: string; readonly found: string }[];
  readonly shown: boolean;
  /** False when the feed shows something else than the log and the rules say: a defect. */
  readonly right: boolean;
  readonly verdict: string;
}

/** Goes from the log over the read model to the cache, as the post did. */
export async function explainFeed(
  { log, sql, cache, authorCache }: Inspected,
  readerId: string,
  postId: string,
): Promise<Explanation> {
  const steps: { step: string; found: string }[] = [];
  const say = (step: string, found: string) => void steps.push({ step, found });
  const end = (shown: boolean, verdict: string, right = true): Explanation => ({
    readerId,
    postId,
    steps,
    shown,
    right,
    verdict,
  });

  const [created, deleted] = await ofPost(log, postId);
  if (!created) {
    say("post", "the log has no PostCreated of this id");
    return end(false, "It is not in the feed: there is no such post.");
  }
  const { authorId } = created.event.data;
  say("post", `PostCreated at ${placeOf(created)}, ${created.event.time}`);
  say("deleted", deleted ? `PostDeleted at ${placeOf(deleted)}, ${deleted.event.time}` : "no");

  const [handle, closed] = await ofAuthor(log, sql, authorId);
  const author = handle ?? authorId;
  say("author", `${author} (${authorId})${closed ? `, closed at ${placeOf(closed)}` : ""}`);

  const { follow, blocks } = await ofRelation(log, readerId, authorId);
  const following = follow?.event.type === "AccountFollowed";
  say(
    "follow",
    follow
      ? `${following ? "since" : "ended by an unfollow of"} ${follow.event.time}, ${
        placeOf(follow)
      }`
      : "the log has none",
  );
  const [block] = blocks;
  say("blocks", block ? `AccountBlocked at ${placeOf(block)}, ${block.event.time}` : "none");

  const media = await sql.query<{ media_id: string; status: string | null }>(
    `SELECT id AS media_id, status FROM unnest($1::uuid[]) AS wanted (id)
     LEFT JOIN manifests.media ON media_id = id`,
    [created.event.data.mediaIds],
  );
  say("media", media.map(({ status }) => status ?? "not known yet").join(", ") || "none");
  const rejected = media.length > 0 &&
    media.every(({ status }) => status === "rejected" || status === "purged");

  const model = await inReadModel(sql, readerId, authorId, postId);
  say(
    "read model",
    `${model.post ? "has the post" : "does not have the post"}, ` +
      `${model.follows ? "has the follow" : "has no follow"}; ` +
      `it has passed ${passed(model.next.read_model, created)}, the feeds ` +
      passed(model.next.feeds, created),
  );
  if (model.parked.length > 0) say("dead letters", model.parked.join(", "));

  say(
    "fan-out",
    `${model.followers} followers; the author is ${model.state}` +
      (model.fanOut === undefined
        ? ""
        : `; this post is still being brought to those whose follow ` +
          `is below ${model.fanOut}`),
  );
  const feed = await cache.read(readerId, { limit: cache.window + 1 });
  const list = await authorCache.read(authorId, { limit: authorCache.window + 1 });
  say("cached feed", describe(feed, postId));
  const pulls = feed.state === "complete" && feed.pulls.includes(authorId);
  if (pulls) say("author's list", `the feed pulls it: ${describe(list, postId)}`);

  const named = `${author}'s post`;
  if (deleted) return end(false, `It is not in the feed: ${named} was deleted.`);
  if (closed) return end(false, `It is not in the feed: ${author} closed the account.`);
  if (!following) {
    return end(false, `It is not in the feed: the reader does not follow ${author}.`);
  }
  if (block) return end(false, `It is not in the feed: one of the two blocks the other.`);
  if (rejected) return end(false, `It is not in the feed: none of its media can be shown.`);
  if (!model.post || !model.follows) {
    const why = model.parked.length > 0
      ? "its event, or the follow's, is a dead letter: redrive it"
      : "the read model has not got that far in the log yet";
    return end(false, `It belongs in the feed and is not there yet: ${why}.`);
  }
  const from = servedFrom(feed, pulls ? list : undefined, postId);
  if (from !== undefined) return end(true, `It is in the feed: served from ${from}.`);
  const settled = (model.next.feeds.get(place(created)) ?? 0) > created.offset &&
    (model.next.feeds.get(place(follow)) ?? 0) > follow.offset && model.fanOut === undefined;
  if (!settled) {
    return end(false, "It belongs in the feed and is not there yet: the fan-out is still to come.");
  }
  return end(
    false,
    "It belongs in the feed and is missing from the cache: deno task feeds verify --repair " +
      "forgets this feed, and it is filled again.",
    false,
  );
}

/** From what the reader gets a post that belongs to them; undefined when from nothing. */
function servedFrom(
  feed: FeedPage,
  list: FeedPage | undefined,
  postId: string,
): string | undefined {
  if (feed.state !== "complete") {
    return `the database, since the feed is ${feed.state} in the cache`;
  }
  if (feed.ids.includes(postId)) return `the cache, at place ${feed.ids.indexOf(postId) + 1}`;
  if (list && list.state !== "complete") return "the database, as its author's list is not cached";
  if (list?.state === "complete" && list.ids.includes(postId)) {
    return "its author's own list, which the feed pulls";
  }
  const parts = [feed, ...list ? [list] : []];
  const below = parts.some((part) =>
    part.state === "complete" && part.endsAtFloor && postId < (part.ids.at(-1) ?? "g")
  );
  return below ? "the database, below the cached window" : undefined;
}

function describe(page: FeedPage, postId: string): string {
  if (page.state !== "complete") return page.state;
  const at = page.ids.indexOf(postId);
  return `complete, ${page.ids.length} ids` +
    `${page.endsAtFloor ? ` down to ${page.ids.at(-1) ?? "a floor above all"}` : ""}, ` +
    `${page.pulls.length} authors pulled; ` +
    (at < 0 ? "the post is not among them" : `the post is at place ${at + 1}`);
}

type Created = Recorded & { event: Extract<DomainEvent, { type: "PostCreated" }> };

async function ofPost(
  log: ReadableLog,
  postId: string,
): Promise<[Created | undefined, Recorded | undefined]> {
  let created: Created | undefined;
  let deleted: Recorded | undefined;
  for await (const one of eventsOf(log, "posts", { key: postId })) {
    const { event } = one;
    if (event.type === "PostCreated") created ??= { ...one, event };
    if (event.type === "PostDeleted") deleted ??= one;
  }
  return [created, deleted];
}

async function ofAuthor(
  log: ReadableLog,
  sql: SqlQueries,
  authorId: string,
): Promise<[string | undefined, Recorded | undefined]> {
  let closed: Recorded | undefined;
  for await (const one of eventsOf(log, "accounts", { key: authorId })) {
    if (one.event.type === "AccountClosed") closed ??= one;
  }
  const [row] = await sql.query<{ handle: string | null }>(
    "SELECT handle FROM read_model.accounts WHERE account_id = $1",
    [authorId],
  );
  return [row?.handle ?? undefined, closed];
}

/** The last word about the follow, and the blocks that stand, either way. */
async function ofRelation(log: ReadableLog, readerId: string, authorId: string) {
  let follow: Recorded | undefined;
  const blocks = new Map<string, Recorded>();
  for (const [key, other] of [[readerId, authorId], [authorId, readerId]] as const) {
    for await (const one of eventsOf(log, "follows", { key })) {
      const { event } = one;
      switch (event.type) {
        case "AccountFollowed":
          // A follow while one stands changes nothing.
          if (key !== readerId || event.data.followeeId !== other) break;
          if (follow?.event.type !== "AccountFollowed") follow = one;
          break;
        case "AccountUnfollowed":
          if (key === readerId && event.data.followeeId === other) follow = one;
          break;
        case "AccountBlocked":
          if (event.data.blockedId === other) blocks.set(key, one);
          break;
        case "AccountUnblocked":
          if (event.data.blockedId === other) blocks.delete(key);
      }
    }
  }
  return { follow, blocks: [...blocks.values()] };
}

async function inReadModel(sql: SqlQueries, readerId: string, authorId: string, postId: string) {
  const [row] = await sql.query<{
    post: boolean;
    follows: boolean;
    followers: number;
    state: string;
    fan_out: string | null;
  }>(
    `SELECT
       EXISTS (SELECT FROM read_model.posts WHERE author_id = $2 AND post_id = $3) AS post,
       EXISTS (
         SELECT FROM read_model.follows WHERE follower_id = $1 AND followee_id = $2
       ) AS follows,
       coalesce((
         SELECT follower_count FROM read_model.account_counts WHERE account_id = $2
       ), 0) AS followers,
       coalesce((
         SELECT CASE WHEN announced_by IS NULL THEN 'pulled' ELSE 'pushed, and being announced' END
         FROM feeds.pulled_authors WHERE author_id = $2
       ), 'pushed') AS state,
       (SELECT before FROM feeds.fan_outs WHERE fan_out_id = $3) AS fan_out`,
    [readerId, authorId, postId],
  );
  const letters = await sql.query<{ projection: string; topic: string; category: string }>(
    `SELECT projection, topic, category FROM projections.dead_letters
     WHERE key = ANY ($1::text[]) AND projection IN ('read_model', 'feeds')`,
    [[readerId, authorId, postId]],
  );
  return {
    post: row?.post ?? false,
    follows: row?.follows ?? false,
    followers: row?.followers ?? 0,
    state: row?.state ?? "pushed",
    fanOut: row?.fan_out ?? undefined,
    parked: letters.map(({ projection, topic, category }) =>
      `${projection}, ${topic}: ${category}`
    ),
    next: await checkpoints(sql),
  };
}

/** Where each partition goes on, for the read model and the feeds. */
export async function checkpoints(
  sql: SqlQueries,
  feedsVersion?: number,
): Promise<Record<"read_model" | "feeds", Map<string, number>>> {
  const rows = await sql.query<
    { projection: "read_model" | "feeds"; topic: string; partition: number; next_offset: number }
  >(
    `SELECT projection, topic, partition, next_offset FROM projections.checkpoints AS c
     JOIN projections.live AS l USING (projection)
     WHERE projection IN ('read_model', 'feeds')
       AND c.version = CASE projection WHEN 'feeds' THEN coalesce($1, l.version) ELSE l.version END`,
    [feedsVersion ?? null],
  );
  const next = { read_model: new Map<string, number>(), feeds: new Map<string, number>() };
  for (const row of rows) next[row.projection].set(place(row), row.next_offset);
  return next;
}

function passed(next: ReadonlyMap<string, number>, recorded: Recorded): string {
  return (next.get(place(recorded)) ?? 0) > recorded.offset ? "its event" : "not got to its event";
}

export function place({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}

function placeOf(recorded: Recorded): string {
  return `${place(recorded)} offset ${recorded.offset}`;
}
