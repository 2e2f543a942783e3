import { closeRedis, type RedisClient } from "../redis/client.ts";
import { Elections } from "../redis/elections.ts";
import { Histories } from "../redis/histories.ts";
import { ListReader } from "../redis/list-reader.ts";
import { evaluate, RedisNodes } from "../redis/nodes.ts";
import type { Reply } from "../redis/reply.ts";
import type { Script } from "../redis/script.ts";
import {
  type Claim,
  claimSeconds,
  type FeedCache,
  type FeedCaches,
  type FeedPage,
  feedWindow,
} from "./port.ts";
import { textOfId } from "./id-texts.ts";
import * as scripts from "./redis-scripts.ts";
import { compareIds, parseId } from "./sorted-ids.ts";

/** Pushes that may wait in front of a header until they are put in their place. */
const waitingPushes = 100;
/** Milliseconds a reader waits before the database must answer, and a projection before it fails. */
const patience = { read: 500, write: 5_000 };
/** Of a reader's, what the shorter way may take. */
const shortPatience = 200;
/** Milliseconds a filled feed is kept, so that a reader who stays away costs nothing. */
const feedLifetime = 7 * 24 * 3_600_000;

const width = 16;
/** Before an author's id that waits in front of a header. */
const pulled = 0x50;
const lowest = new Uint8Array(width);
const highest = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/**
 * Feeds in Redis, one server or a cluster. A feed is one list, of about 18.5 bytes an entry:
 *
 *     pushes and pulls, as they came | header | ids in their place, newest first
 *
 * A push is one LPUSHX, which reads and sorts nothing. Whoever reads the feed next, or is the
 * hundredth to push, has a script put the pushes in their place, each once, and cut the window. Until
 * the next push the feed begins with its header, and a page of it is one LRANGE. An author who is to
 * be pulled from now on comes the same way, told from a post by a byte in front, and moves into the
 * header.
 *
 * All else there is to know of a feed is in its header: whether it is claimed and by what token, its
 * floor, its history, its pulled authors. So a feed comes, expires and is evicted as a whole, whichever key the expiry or
 * `maxmemory` takes and whenever: it can be missing, but not partly there. A script touches one key.
 *
 * **Fail-over.** Redis acknowledges a push before its replicas have it, so a promoted replica may lack
 * some, and so may a server that starts from an old snapshot. Either begins a new replication history
 * (`master_replid`), and a feed is valid only in the history in which it was claimed: in any other it
 * is missing, and claimed and filled anew. A master that was frozen and has been replaced meanwhile
 * serves and acknowledges, when it wakes, until it hears of its successor: whatever is pushed, pulled,
 * merged or dropped is done again when there was an election before it was done (see `Elections`, and
 * what it cannot see). What is read of it lacks for that moment what its successor was told.
 *
 * Every operation but `check` tries for a bounded time.
 * @throws {RedisUnavailable} from each of them.
 */
export function createRedisFeedCache(
  { client, prefix = "feed:", lists = listsOf(client) }: {
    client: RedisClient;
    prefix?: string;
    /** Caches with the same client may share one. */
    lists?: ListReader;
  },
): FeedCache {
  const nodes = new RedisNodes(client);
  const histories = new Histories();
  const elections = new Elections(nodes);
  /** What a master takes that was replaced and does not know it yet, its successor is told again. */
  const lastingly = (act: () => Promise<void>) => elections.during(patience.write, act);
  const keyOf = (readerId: string) => prefix + readerId;
  const run = (script: Script, readerId: string, ...args: (Uint8Array | number)[]) =>
    nodes.run(script, keyOf(readerId), patience.write, ...args);

  const pushElement = async (readerIds: readonly string[], element: Uint8Array) => {
    const overdue: string[] = [];
    const command = { name: "lpushx", arguments: [element] } as const;
    await nodes.each(readerIds.map(keyOf), command, patience.write, (key, length) => {
      if (length > feedWindow + waitingPushes) overdue.push(key);
    });
    await Promise.all(
      overdue.map((key) => nodes.run(scripts.settleScript, key, patience.write)),
    );
  };

  return {
    window: feedWindow,
    push: (readerIds, postId) => lastingly(() => pushElement(readerIds, parseId(postId))),

    pull: (readerIds, authorId) =>
      lastingly(() => pushElement(readerIds, Uint8Array.of(pulled, ...parseId(authorId)))),

    merge: (readerId, postIds, reachesFirst) =>
      lastingly(async () => {
        await run(scripts.mergeScript, readerId, ...reach(postIds, reachesFirst));
      }),

    async read(readerId, { before = highest, limit }) {
      const key = keyOf(readerId);
      const began = performance.now();
      const newest = before === highest ? await lists.head(key, limit + 1, readIn) : undefined;
      if (newest) return pageOf(newest.value, newest.history, limit);
      const left = patience.read - (performance.now() - began);
      const page = await nodes.on(key, left, (node) =>
        histories.reading(
          node,
          () => evaluate(node, scripts.pageScript, key, parseId(before), limit),
        ));
      return page ? pageOf(readOf(page.value), page.history, limit) : { state: "missing" };
    },

    async claim(readerId) {
      const token = crypto.randomUUID();
      const won = await run(
        scripts.claimScript,
        readerId,
        parseId(token),
        claimSeconds * 1000,
      );
      return won === 1 ? { readerId, token } : undefined;
    },

    async fill({ readerId, token }: Claim, postIds, reachesFirst) {
      const filled = await run(
        scripts.fillScript,
        readerId,
        parseId(token),
        feedLifetime,
        ...reach(postIds, reachesFirst),
      );
      return filled === 1;
    },

    drop: (readerIds) =>
      lastingly(async () => {
        const command = { name: "unlink", arguments: [] } as const;
        await nodes.each(readerIds.map(keyOf), command, patience.write, () => {});
      }),

    check: () => nodes.check(patience.read),
    async close() {
      await lists.close();
      await closeRedis(client);
    },
  };
}

function listsOf(client: RedisClient): ListReader {
  return new ListReader(new RedisNodes(client), shortPatience);
}

/**
 * Every version over the same connections. What a dropped one holds is left to its expiry, at most a
 * week, and to eviction: a scan of every key would cost the readers of the others more.
 */
export function createRedisFeedCaches(
  { client, prefix = "" }: { client: RedisClient; prefix?: string },
): FeedCaches {
  const versions = new Map<number, ReturnType<FeedCaches["at"]>>();
  const lists = listsOf(client);
  const prefixOf = (version: number) => prefix + (version === 1 ? "" : `v${version}:`);
  const at = (version: number) =>
    versions.getOrInsertComputed(version, () => ({
      feedCache: createRedisFeedCache({ client, prefix: `${prefixOf(version)}feed:`, lists }),
      authorCache: createRedisFeedCache({ client, prefix: `${prefixOf(version)}author:`, lists }),
    }));
  return {
    at,
    drop: () => Promise.resolve(),
    check: () => at(1).feedCache.check(),
    async close() {
      await lists.close();
      await closeRedis(client);
    },
  };
}

/** The floor that these ids have, and the ids, newest first. */
function reach(postIds: readonly string[], reachesFirst: boolean): Uint8Array[] {
  const ids = postIds.map(parseId).sort((a, b) => compareIds(b, a));
  return [(reachesFirst ? undefined : ids.at(-1)) ?? lowest, ...ids];
}

/** What was read of a feed: nothing, or its header and the ids behind it. */
interface Read {
  readonly header: Header | undefined;
  readonly ids: readonly string[];
}

interface Header {
  readonly claimed: boolean;
  readonly history: string;
  /** Whether it does not reach back to the first post. */
  readonly floored: boolean;
  readonly pulls: readonly string[];
}

const nothing: Read = { header: undefined, ids: [] };

/** Undefined for a list whose first element is no header: its pushes must be put in their place. */
function readIn({ bytes, starts, ends }: Reply): Read | undefined {
  const [start, end] = [starts[0], ends[0]];
  if (start === undefined || end === undefined) return nothing;
  if (end - start <= width + 1) return undefined;
  const ids: string[] = [];
  for (let nth = 1; nth < starts.length; nth++) ids.push(textOfId(bytes, starts[nth] ?? 0));
  return { header: headerIn(bytes, start, end), ids };
}

/** As the script answers. */
function readOf(answer: unknown): Read {
  const [header, ...ids]: Uint8Array[] = Array.isArray(answer) ? answer : [];
  if (!header) return nothing;
  return { header: headerIn(header, 0, header.length), ids: ids.map((id) => textOfId(id, 0)) };
}

function pageOf({ header, ids }: Read, history: string, limit: number): FeedPage {
  if (header?.history !== history) return { state: "missing" };
  if (header.claimed) return { state: "filling" };
  const endsAtFloor = ids.length < limit && header.floored;
  return { state: "complete", ids, endsAtFloor, pulls: header.pulls };
}

const claimedKind = "C".charCodeAt(0);
const noPulls: readonly string[] = [];

/**
 * `C` or `F` for claimed or filled, 40 digits of history, the floor, the token while claimed, and
 * the authors pulled.
 */
function headerIn(bytes: Uint8Array, start: number, end: number): Header {
  const claimed = bytes[start] === claimedKind;
  const pulls = start + (claimed ? 57 + width : 57);
  return {
    claimed,
    history: historyIn(bytes, start + 1),
    floored: bytes.subarray(start + 41, start + 57).some((byte) => byte > 0),
    pulls: pulls >= end ? noPulls : Array.from(
      { length: (end - pulls) / width },
      (_, nth) => textOfId(bytes, pulls + nth * width),
    ),
  };
}

let lastHistory = "";

/** Mostly the same as the last one, which is quicker to see than to decode. */
function historyIn(bytes: Uint8Array, at: number): string {
  let same = lastHistory.length === 40;
  for (let nth = 0; same && nth < 40; nth++) same = bytes[at + nth] === lastHistory.charCodeAt(nth);
  if (!same) lastHistory = new TextDecoder().decode(bytes.subarray(at, at + 40));
  return lastHistory;
}
