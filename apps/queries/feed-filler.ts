import type { Claim, FeedCache } from "../../infra/feed-cache/port.ts";
import { pulledFor } from "../../projections/feeds/pulled-authors.ts";
import { feedPage } from "../../projections/read-model/reads/feed-page.ts";
import { newest } from "../../projections/read-model/reads/keyset.ts";
import { postsOfAccounts } from "../../projections/read-model/reads/posts-of-accounts.ts";
import type { QueryServices } from "./services.ts";

type Services = Pick<QueryServices, "primary" | "cache" | "authorCache" | "logger">;

/**
 * Fills what was found missing and claimed, behind the answers that found it so.
 *
 * The database must be read after the claim was made, and from a state that holds every post fanned
 * out before it: those found nothing to land in. A post is fanned out only when the read model has
 * it, so any later read of the primary has it too. A replica's might not.
 */
export class FeedFiller {
  readonly #services: Services;
  readonly #filling = new Set<Promise<void>>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** A reader's feed. Begins at once and resolves nothing: an answer must not wait for it. */
  fillFeed(claim: Claim): void {
    this.#begin(claim, async ({ primary, cache }) => {
      // Before the posts are read, or one left to readers in between would be in neither.
      const pulled = await pulledFor(primary, claim.readerId);
      const ids = await feedPage(primary, claim.readerId, newest, cache.window + 1);
      await Promise.all(pulled.map((authorId) => cache.pull([claim.readerId], authorId)));
      await complete(cache, claim, ids);
    });
  }

  /** An author's own list, likewise. */
  fillAuthor(claim: Claim): void {
    this.#begin(claim, async ({ primary, authorCache }) => {
      const posts = await postsOfAccounts(
        primary,
        [claim.readerId],
        newest,
        authorCache.window + 1,
      );
      await complete(authorCache, claim, posts.get(claim.readerId) ?? []);
    });
  }

  /** Resolves once what has begun is done. */
  async drain(): Promise<void> {
    await Promise.all(this.#filling);
  }

  #begin({ readerId }: Claim, fill: (services: Services) => Promise<void>): void {
    const { logger } = this.#services;
    const filling = fill(this.#services)
      // The claim lapses, and the next reader to miss it tries again.
      .catch((error) => logger.warn("a feed was not filled", { readerId, error }))
      .finally(() => this.#filling.delete(filling));
    this.#filling.add(filling);
  }
}

/** `ids`: a window and one more, newest first; that one tells whether they reach the first post. */
async function complete(cache: FeedCache, claim: Claim, ids: readonly string[]): Promise<void> {
  await cache.fill(claim, ids.slice(0, cache.window), ids.length <= cache.window);
}
