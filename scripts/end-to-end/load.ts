import assert from "node:assert/strict";
import { ShutterlogClient } from "../client/client.ts";
import { ProblemError, ServerUnreachable } from "../client/problem.ts";
import { newcomer } from "./main-job.ts";

/** A command or upload that was acknowledged, in milliseconds of `performance.now()`. */
interface Promised {
  readonly id: string;
  readonly firstTried: number;
  readonly acknowledged: number;
  /** When a follower saw the post, or the uploader the variants. */
  kept?: number;
}

/** What came of a stretch of load: durations in milliseconds. */
export interface Report {
  readonly posts: number;
  /** From a command's first try to its acknowledgement. */
  readonly longestCommand: number;
  /** Tries that failed and were made again. */
  readonly failedTries: number;
  /** From acknowledgement to a page of the follower's feed that shows it. */
  readonly fresh: Quantiles;
  readonly uploads: number;
  /** From the acknowledged `complete` to `ready`. */
  readonly variants: Quantiles;
  readonly reads: number;
  readonly failedReads: number;
  /** Between two pages of the feed that were answered. */
  readonly longestWithoutFeed: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Rates {
  readonly postsPerSecond: number;
  readonly uploadsPerSecond: number;
}

/** Milliseconds between two looks at a feed, and at a medium in the making. */
const look = 100;
const pageSize = 30;

/**
 * Authors who post and upload at a steady pace, and a follower who reads all the while. What fails
 * is sent again under the same idempotency key, as a client would. Every promise is remembered, and
 * every page is held against them.
 */
export class Load {
  readonly posts: Promised[] = [];
  readonly uploads: Promised[] = [];
  readonly #authors: readonly ShutterlogClient[];
  readonly #reader: ShutterlogClient;
  readonly #photo: Uint8Array<ArrayBuffer>;
  readonly #mediaIds = new Map<ShutterlogClient, string>();
  /** By id, of posts that the reader has not seen. */
  readonly #unseen = new Map<string, Promised>();
  readonly #seen = new Set<string>();
  #failedTries = 0;
  #reads = 0;
  #failedReads = 0;
  #longestWithoutFeed = 0;
  #since = { posts: 0, uploads: 0 };

  private constructor(
    authors: readonly ShutterlogClient[],
    reader: ShutterlogClient,
    photo: Uint8Array<ArrayBuffer>,
  ) {
    this.#authors = authors;
    this.#reader = reader;
    this.#photo = photo;
  }

  /** Three authors with a medium each, and a reader who follows them and has a warm feed. */
  static async prepare(baseUrl: string, photo: Uint8Array<ArrayBuffer>): Promise<Load> {
    const handle = (name: string) => `${name}_${crypto.randomUUID().slice(0, 8)}`;
    const join = (name: string) => newcomer(baseUrl, handle(name));
    const [reader, ...authors] = await Promise.all(["reader", "ada", "bob", "cyd"].map(join));
    assert.ok(reader);
    const load = new Load(authors, reader, photo);
    for (const author of authors) {
      await reader.follow(author.session?.account.id ?? "");
      const mediaId = await author.upload("image/jpeg", photo);
      await author.waitForMedia(mediaId);
      load.#mediaIds.set(author, mediaId);
    }
    await reader.feed({ await: true });
    return load;
  }

  get reader(): ShutterlogClient {
    return this.#reader;
  }

  /** Uploads so many at once and resolves to how many were made ready in a second. */
  async uploadsPerSecond(count: number): Promise<number> {
    const begun = performance.now();
    await Promise.all(Array.from({ length: count }, () => this.#upload()));
    return count / (performance.now() - begun) * 1000;
  }

  /** Of the authors. */
  get authorIds(): string[] {
    return this.#authors.map(({ session }) => session?.account.id ?? "");
  }

  /**
   * Works for so long, then waits until every promise made meanwhile is kept.
   * @param disturb is called once, after a quarter of the time.
   */
  run(
    { seconds, ...rates }: Rates & { seconds: number },
    disturb: () => Promise<void> = () => Promise.resolve(),
  ): Promise<Report> {
    const disturbed = sleep(seconds * 250).then(disturb);
    return this.during(Promise.all([sleep(seconds * 1000), disturbed]), rates);
  }

  /** The same, until something else is over. */
  async during(other: Promise<unknown>, rates: Rates): Promise<Report> {
    this.#since = { posts: this.posts.length, uploads: this.uploads.length };
    this.#failedTries =
      this.#reads =
      this.#failedReads =
      this.#longestWithoutFeed =
        0;
    let over = false;
    const ended = other.finally(() => over = true);
    ended.catch(() => {});
    const reading = new AbortController();
    const read = this.#readOn(reading.signal);
    // It is told at the end.
    read.catch(() => {});
    try {
      await Promise.all([
        steadily(rates.postsPerSecond, () => over, () => this.#post()),
        steadily(rates.uploadsPerSecond, () => over, () => this.#upload()),
        ended,
      ]);
      const deadline = performance.now() + 60_000;
      while (this.#unseen.size > 0) {
        assert.ok(performance.now() < deadline, `${this.#unseen.size} posts were never shown`);
        await sleep(look);
      }
    } finally {
      reading.abort();
      await read;
    }
    return this.#report();
  }

  /** The feed, paged to its end, is what was posted, newest first, each once. */
  async assertFeed(): Promise<void> {
    const shown: string[] = [];
    for await (const { items } of this.#reader.feedPages({ limit: 100 })) {
      shown.push(...items.map(({ id }) => id));
    }
    assert.deepEqual(shown, this.posts.map(({ id }) => id).sort().reverse());
    for (const author of this.#authors) {
      const { postCount } = await this.#reader.account(author.session?.account.id ?? "");
      const mine = this.posts.filter((_, nth) => this.#authorOf(nth) === author);
      assert.equal(postCount, mine.length);
    }
  }

  #authorOf(nth: number): ShutterlogClient {
    const author = this.#authors[nth % this.#authors.length];
    assert.ok(author);
    return author;
  }

  async #post(): Promise<void> {
    const nth = this.posts.length;
    const promised: Mutable<Promised> = { id: "", firstTried: performance.now(), acknowledged: 0 };
    this.posts.push(promised);
    const author = this.#authorOf(nth);
    const mediaIds = [this.#mediaIds.get(author) ?? ""];
    const idempotencyKey = crypto.randomUUID();
    const { postId } = await this.#insist(() =>
      author.createPost({ mediaIds, caption: `post ${nth}` }, { idempotencyKey })
    );
    promised.id = postId;
    promised.acknowledged = performance.now();
    // The follower may have seen it before its author had the answer.
    if (this.#seen.has(postId)) promised.kept = promised.acknowledged;
    else this.#unseen.set(postId, promised);
  }

  async #upload(): Promise<void> {
    const promised: Mutable<Promised> = { id: "", firstTried: performance.now(), acknowledged: 0 };
    this.uploads.push(promised);
    const author = this.#authorOf(this.uploads.length);
    const byteLength = this.#photo.length;
    const signed = await this.#insist(() =>
      author.signUpload({ contentType: "image/jpeg", byteLength })
    );
    await this.#insist(() => author.put(signed, this.#photo));
    await this.#insist(() => author.complete(signed.mediaId));
    promised.id = signed.mediaId;
    promised.acknowledged = performance.now();
    for (const deadline = performance.now() + 90_000;;) {
      const status = await this.#insist(() => statusOf(author, signed.mediaId));
      if (status === "ready") break;
      assert.notEqual(status, "rejected");
      assert.ok(performance.now() < deadline, `${signed.mediaId} was never ready`);
      await sleep(look);
    }
    promised.kept = performance.now();
  }

  /** Until it is answered, whatever becomes of single tries. */
  async #insist<T>(command: () => Promise<T>): Promise<T> {
    for (const deadline = performance.now() + 60_000;;) {
      try {
        return await command();
      } catch (error) {
        if (!isPassing(error) || performance.now() > deadline) throw error;
        this.#failedTries++;
        await sleep(100);
      }
    }
  }

  async #readOn(signal: AbortSignal): Promise<void> {
    let answered = performance.now();
    while (!signal.aborted) {
      const asked = performance.now();
      try {
        const ids: string[] = [];
        // The first page, and those behind it as long as a promised post may be there: one that was
        // long under way has newer ones above it.
        for await (const { items, nextCursor } of this.#reader.feedPages({ limit: pageSize })) {
          ids.push(...items.map(({ id }) => id));
          this.#check(ids, nextCursor === null, asked);
          const last = ids.at(-1) ?? "";
          if (![...this.#unseen.keys()].some((id) => id < last)) break;
        }
        this.#reads++;
        this.#longestWithoutFeed = Math.max(
          this.#longestWithoutFeed,
          performance.now() - answered,
        );
        answered = performance.now();
      } catch (error) {
        if (!isPassing(error)) throw error;
        this.#failedReads++;
      }
      await sleep(look);
    }
  }

  /** Pages are in order and lack nothing above their end that was shown before they were asked for. */
  #check(ids: readonly string[], ended: boolean, asked: number): void {
    assert.deepEqual(ids, ids.toSorted().reverse(), "the page is not in order");
    const shown = new Set(ids);
    assert.equal(shown.size, ids.length, "a post is shown twice");
    const last = ended ? "" : ids.at(-1) ?? "";
    const hole = this.posts.find(({ id, kept }) =>
      kept !== undefined && kept < asked && id > last && !shown.has(id)
    );
    assert.equal(hole, undefined, "a post that was shown before is missing");
    const now = performance.now();
    for (const id of ids) {
      this.#seen.add(id);
      const promised = this.#unseen.get(id);
      if (promised) promised.kept = now;
      this.#unseen.delete(id);
    }
  }

  #report(): Report {
    const posts = this.posts.slice(this.#since.posts);
    const uploads = this.uploads.slice(this.#since.uploads);
    const kept = ({ kept = Infinity, acknowledged }: Promised) => kept - acknowledged;
    return {
      posts: posts.length,
      longestCommand: Math.max(...posts.map((post) => post.acknowledged - post.firstTried)),
      failedTries: this.#failedTries,
      fresh: quantiles(posts.map(kept)),
      uploads: uploads.length,
      variants: quantiles(uploads.map(kept)),
      reads: this.#reads,
      failedReads: this.#failedReads,
      longestWithoutFeed: this.#longestWithoutFeed,
    };
  }
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Undefined while the query edge has not heard of it. */
async function statusOf(author: ShutterlogClient, mediaId: string): Promise<string | undefined> {
  const { status, text } = await author.request("GET", `/v1/media/${mediaId}`, { await: true });
  if (status === 404) return undefined;
  if (status !== 200) throw new ServerUnreachable(`the gateway (${status})`);
  return JSON.parse(text).status;
}

/** What a client may try again: nothing answered, or a part of the service was not to be reached. */
function isPassing(error: unknown): boolean {
  return error instanceof ServerUnreachable ||
    error instanceof ProblemError && (error.status >= 500 || error.status === 429);
}

/** Begins a task at each tick, whether or not those before are done; resolves when all are. */
async function steadily(
  perSecond: number,
  over: () => boolean,
  task: () => Promise<void>,
): Promise<void> {
  if (perSecond === 0) return;
  const tasks: Promise<void>[] = [];
  const begun = performance.now();
  for (let nth = 0;; nth++) {
    const due = begun + nth * 1000 / perSecond;
    await sleep(Math.max(0, due - performance.now()));
    if (over()) break;
    const running = task();
    // It is told at the end.
    running.catch(() => {});
    tasks.push(running);
  }
  await Promise.all(tasks);
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
