import type { Claim, FeedCache } from "../../infra/feed-cache/port.ts";
import { pulledFor } from "../../projections/feeds/pulled-authors.ts";
import { feedPage } from "../../projections/read-model/reads/feed-page.ts";
import { newest } from "../../projections/read-model/reads/keyset.ts";
import { postsOfAccounts } from "../../projections/read-model/reads/posts-of-accounts.ts";
import type { QueryServices } from "./services.ts";

type Services = Pick<QueryServices, "primary" | "cache" | "authorCache" | "logger">;

/**
 * Fills what was found missing and claimed, behind the answers that found it so: it begins when the
 * next of them is complete, lest the database do both at once and the reader wait for it.
 *
 * The database must be read after the claim was made, and from a state that holds every post fanned
 * out before it: those found nothing to land in. A post is fanned out only when the read model has
 * it, so any later read of the primary has it too. A replica's might not.
 */
export class FeedFiller {
  readonly #services: Services;
  readonly #filling = new Set<Promise<void>>();
  #due: (() => void)[] = [];

  constructor(services: Services) {
    this.#services = services;
  }

  /** A reader's feed. */
  fillFeed(claim: Claim): void {
    this.#add(claim, async ({ primary, cache }) => {
      // Before the posts are read, or one left to readers in between would be in neither.
      const pulled = await pulledFor(primary, claim.readerId);
      const posts = await feedPage(primary, claim.readerId, newest, cache.window + 1);
      await Promise.all(pulled.map((authorId) => cache.pull([claim.readerId], authorId)));
      await complete(cache, claim, posts.map((post) => post.post_id));
    });
  }

  /** An author's own list, likewise. */
  fillAuthor(claim: Claim): void {
    this.#add(claim, async ({ primary, authorCache }) => {
      const posts = await postsOfAccounts(
        primary,
        [claim.readerId],
        newest,
        authorCache.window + 1,
      );
      await complete(authorCache, claim, posts.get(claim.readerId) ?? []);
    });
  }

  /** Begins what is due, and resolves nothing: an answer must not wait for it. */
  begin(): void {
    if (this.#due.length === 0) return;
    for (const begin of this.#due.splice(0)) begin();
  }

  /** Resolves once what is due is done. */
  async drain(): Promise<void> {
    this.begin();
    await Promise.all(this.#filling);
  }

  #add({ readerId }: Claim, fill: (services: Services) => Promise<void>): void {
    const { logger } = this.#services;
    this.#due.push(() => {
      const filling = fill(this.#services)
        // The claim lapses, and the next reader to miss it tries again.
        .catch((error) => logger.warn("a feed was not filled", { readerId, error }))
        .finally(() => this.#filling.delete(filling));
      this.#filling.add(filling);
    });
  }
}

/** `ids`: a window and one more, newest first; that one tells whether they reach the first post. */
async function complete(cache: FeedCache, claim: Claim, ids: readonly string[]): Promise<void> {
  await cache.fill(claim, ids.slice(0, cache.window), ids.length <= cache.window);
}
