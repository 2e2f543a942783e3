import type { TaggedJson } from "../../../infra/http/etag.ts";
import type { PageQuery } from "../page-query.ts";
import type { Hydration } from "./hydration.ts";
import { CardPage } from "./presentation.ts";
import { type maySee, strangers } from "./rules.ts";
import type { Skeleton } from "./skeleton.ts";

/** Ids looked at in one round, at most: rounds after the first are there to fill a page up. */
const longestRound = 200;

/**
 * A page of cards as JSON text: skeleton, hydration, rules, presentation, until there are as many as
 * asked for and one more, which is not shown: it tells that the page is not the last. So a page is
 * short only at the end, and the cursor, the last id shown, never depends on how many were left out.
 */
export async function cardPage(
  hydration: Hydration,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
  skeleton: Skeleton,
  rule: typeof maySee,
): Promise<TaggedJson> {
  const page = new CardPage();
  let lookedAt = before;
  for (let round = limit + 1;; round = Math.min(2 * round, longestRound)) {
    const { ids, ended, origins } = await skeleton(lookedAt, round);
    const hydrated = hydration.hydrate(viewerId, ids, origins);
    const { cards, likes, relations } = hydrated instanceof Promise ? await hydrated : hydrated;
    for (let nth = 0; nth < ids.length; nth++) {
      const id = ids[nth] ?? "";
      const card = cards[nth];
      if (!card || !rule(card, viewerId, relations.get(card.authorId) ?? strangers)) continue;
      if (page.count === limit) return page.present(true);
      page.add(card, likes.get(id) ?? false);
    }
    if (ended) return page.present(false);
    lookedAt = ids.at(-1) ?? lookedAt;
  }
}
