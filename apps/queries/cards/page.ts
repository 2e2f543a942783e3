import type { SqlQueries } from "../../../infra/sql/port.ts";
import type { PageQuery } from "../page-query.ts";
import { hydrate } from "./hydration.ts";
import { presentCard, presentPage } from "./presentation.ts";
import type { maySee } from "./rules.ts";
import type { Skeleton } from "./skeleton.ts";

/** Ids looked at in one round, at most: rounds after the first are there to fill a page up. */
const longestRound = 200;

/**
 * A page of cards as JSON text: skeleton, hydration, rules, presentation, until there are as many as
 * asked for and one more, which is not shown: it tells that the page is not the last. So a page is
 * short only at the end, and the cursor, the last id shown, never depends on how many were left out.
 */
export async function cardPage(
  sql: SqlQueries,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
  skeleton: Skeleton,
  rule: typeof maySee,
): Promise<string> {
  const items: string[] = [];
  let lastShown: string | undefined;
  let lookedAt = before;
  for (let round = limit + 1;; round = Math.min(2 * round, longestRound)) {
    const { ids, ended } = await skeleton(lookedAt, round);
    const { cards, liked, relations } = await hydrate(sql, viewerId, ids);
    for (const id of ids) {
      lookedAt = id;
      const card = cards.get(id);
      if (!card || !rule(card, viewerId, relations)) continue;
      if (items.length === limit) return presentPage(items, lastShown);
      items.push(presentCard(card, liked.has(id)));
      lastShown = id;
    }
    if (ended) return presentPage(items, undefined);
  }
}
