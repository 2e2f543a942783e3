import assert from "node:assert/strict";
import { v7 } from "uuid";
import { type FeedCache, feedWindow } from "./port.ts";
import { RedisUnavailable } from "../redis/nodes.ts";

/**
 * Posts pushed to readers who follow all authors, and readers who read and, on a miss, claim and fill:
 * as many at a time as there are readers. Every page is held to the law of feeds as it is read.
 */
export class Load {
  readonly readers = Array.from({ length: 12 }, () => v7());
  readonly wrong: string[] = [];
  /** How often each thing was seen. */
  readonly seen = { pushed: 0, read: 0, missing: 0, unavailable: 0 };
  /** What a database would hold: a post is in it before it is pushed. */
  readonly #posts: string[] = [];
  readonly #acknowledged: string[] = [];
  readonly #cache: FeedCache;
  readonly #loops: Promise<void>[];
  #ending = false;

  constructor(cache: FeedCache) {
    this.#cache = cache;
    this.#loops = [
      ...Array.from({ length: 4 }, () => this.#push()),
      ...this.readers.map((reader) => this.#read(reader)),
    ];
  }

  /** Lets every push be acknowledged, and holds what each reader has in the end to the law. */
  async end(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#loops);
    assert.equal(this.#acknowledged.length, this.#posts.length);
    for (const reader of this.readers) await this.#page(reader);
    assert.deepEqual(this.wrong, []);
  }

  /** Resolves once as many more pushes and pages as this have come, the pages of every reader. */
  async progress(more = 20): Promise<void> {
    const pushed = this.#acknowledged.length + more;
    const pages = this.readers.map((reader) => (this.#pages.get(reader) ?? 0) + more);
    await until(
      `${more} more of each: ${JSON.stringify(this.seen)}`,
      () =>
        this.#acknowledged.length >= pushed &&
        this.readers.every((reader, n) => (this.#pages.get(reader) ?? 0) >= (pages[n] ?? 0)),
    );
    assert.deepEqual(this.wrong, []);
  }

  async acknowledged(more: number): Promise<void> {
    const pushed = this.#acknowledged.length + more;
    await until(`${more} more pushes`, () => this.#acknowledged.length >= pushed);
  }

  readonly #pages = new Map<string, number>();

  async #push(): Promise<void> {
    while (!this.#ending) {
      const post = v7();
      this.#posts.push(post);
      while (!await this.#tried(() => this.#cache.push(this.readers, post))) continue;
      this.#acknowledged.push(post);
      this.seen.pushed += 1;
    }
  }

  async #read(reader: string): Promise<void> {
    while (!this.#ending) await this.#tried(() => this.#page(reader));
  }

  async #page(reader: string): Promise<void> {
    const due = this.#acknowledged.length;
    const page = await this.#cache.read(reader, { limit: feedWindow });
    if (page.state === "missing") {
      this.seen.missing += 1;
      const claim = await this.#cache.claim(reader);
      const ids = this.#posts.toSorted().reverse();
      if (claim) {
        await this.#cache.fill(claim, ids.slice(0, feedWindow), ids.length <= feedWindow);
      }
    }
    if (page.state !== "complete") return;
    this.seen.read += 1;
    this.#pages.set(reader, (this.#pages.get(reader) ?? 0) + 1);
    const { ids } = page;
    const ends = ids.length === feedWindow || page.endsAtFloor ? ids.at(-1) ?? "z" : "";
    const has = new Set(ids);
    const lacking = this.#acknowledged.slice(0, due).filter((id) => id >= ends && !has.has(id));
    if (lacking.length > 0) this.wrong.push(`${reader} lacks ${lacking.length} of ${due}`);
    if (ids.some((id, n) => n > 0 && id >= (ids[n - 1] ?? ""))) this.wrong.push("out of order");
  }

  async #tried(action: () => Promise<unknown>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      this.seen.unavailable += 1;
      return false;
    }
  }
}

/** Generous: only a failure uses it up. Milliseconds. */
const deadline = 60_000;

export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const started = Date.now();
  while (!await holds()) {
    assert.ok(Date.now() - started < deadline, `not within ${deadline} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
