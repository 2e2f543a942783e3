import type { CardCache, Claim } from "../../../infra/card-cache/port.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";
import type { Logger } from "../../../infra/telemetry/logger.ts";
import { firstGeneration, generationOf, inGeneration } from "../../../projections/cards/keys.ts";
import { partReads } from "./metrics.ts";
import type { Part, Parts } from "./parts.ts";
import type { LiveSql } from "../../../projections/runner/live-schemas.ts";

/**
 * Reads parts from the cache that all processes share, and those it lacks from the database, with
 * which it is filled behind the answer. That there is no such part is kept too. A cache out of reach
 * costs speed, not the answer.
 */
export class SharedParts implements Parts {
  readonly #sql: SqlQueries;
  readonly #live: Pick<LiveSql, "pointer"> | undefined;
  readonly #cache: CardCache;
  readonly #logger: Logger;
  readonly #filling = new Set<Promise<void>>();

  /** `sql`: not a replica, which might not have the change yet for which a text was evicted. */
  constructor({ sql, live, cardCache, logger }: {
    sql: SqlQueries;
    live?: Pick<LiveSql, "pointer">;
    cardCache: CardCache;
    logger: Logger;
  }) {
    this.#sql = sql;
    this.#live = live;
    this.#cache = cardCache;
    this.#logger = logger;
  }

  async get<Value>(part: Part<Value>, ids: readonly string[]): Promise<ReadonlyMap<string, Value>> {
    if (ids.length === 0) return new Map();
    // Read before the database is, and never later than what it reads.
    const { generation } = this.#live ? generationOf(await this.#live.pointer()) : firstGeneration;
    const keys = ids.map((id) => inGeneration(generation, part.key(id)));
    const taken = await this.#cache.take(keys).catch((error) => {
      this.#logger.warn("the card cache cannot be reached", { error });
      return [];
    });
    const found = new Map<string, Value>();
    const lacking: string[] = [];
    const claims: { claim: Claim; id: string }[] = [];
    for (const [nth, id] of ids.entries()) {
      const one = taken[nth];
      if (one && "text" in one) {
        const value: Value | null = JSON.parse(one.text);
        if (value !== null) found.set(id, value);
        continue;
      }
      lacking.push(id);
      if (one) claims.push({ claim: one.claim, id });
    }
    partReads.counts.hit += ids.length - lacking.length;
    partReads.counts.miss += lacking.length;
    if (lacking.length === 0) return found;
    const loaded = await part.load(this.#sql, lacking);
    this.#fill(claims.map(({ claim, id }) => ({
      claim,
      text: JSON.stringify(loaded.get(id) ?? null),
    })));
    for (const [id, value] of loaded) found.set(id, value);
    return found;
  }

  #fill(loaded: readonly { claim: Claim; text: string }[]): void {
    if (loaded.length === 0) return;
    const filling = this.#cache.fill(loaded)
      // The claims lapse, and whoever asks then tries again.
      .catch((error) => this.#logger.warn("cards were not kept", { error }))
      .finally(() => this.#filling.delete(filling));
    this.#filling.add(filling);
  }

  /** Resolves once what has begun is done. */
  async drain(): Promise<void> {
    await Promise.all(this.#filling);
  }
}
