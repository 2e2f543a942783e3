import { type Claim, feedWindow } from "../../infra/feed-cache/port.ts";
import { feedPage } from "../../projections/read-model/reads/feed-page.ts";
import { newest } from "../../projections/read-model/reads/keyset.ts";
import type { QueryServices } from "./services.ts";

/** Fills claimed feeds behind the answers that found them missing. */
export class FeedFiller {
  readonly #services: Pick<QueryServices, "primary" | "cache" | "logger">;
  readonly #filling = new Set<Promise<void>>();

  constructor(services: Pick<QueryServices, "primary" | "cache" | "logger">) {
    this.#services = services;
  }

  /** Begins at once and resolves nothing: an answer must not wait for it. */
  fill(claim: Claim): void {
    const filling = this.#fill(claim).finally(() => this.#filling.delete(filling));
    this.#filling.add(filling);
  }

  /** Resolves once what has begun is done. */
  async drain(): Promise<void> {
    await Promise.all(this.#filling);
  }

  /**
   * The database must be read after the claim was made, and from a state that holds every post
   * fanned out before it: those found no feed to land in. A post is fanned out only when the read
   * model has it, so any later read of the primary has it too. A replica's might not.
   */
  async #fill(claim: Claim): Promise<void> {
    const { primary, cache, logger } = this.#services;
    try {
      const ids = await feedPage(primary, claim.readerId, newest, feedWindow + 1);
      await cache.fill(claim, ids.slice(0, feedWindow), ids.length <= feedWindow);
    } catch (error) {
      // The claim lapses, and the next reader to miss it tries again.
      logger.warn("a feed was not filled", { readerId: claim.readerId, error });
    }
  }
}
