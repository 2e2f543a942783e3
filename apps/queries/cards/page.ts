import type { TaggedJson } from "../../../infra/http/etag.ts";
import type { PageQuery } from "../page-query.ts";
import type { Hydrated, Hydration } from "./hydration.ts";
import { CardPage } from "./presentation.ts";
import { type maySee, strangers } from "./rules.ts";
import type { Round, Skeleton } from "./skeleton.ts";
import { when } from "./when.ts";

/** Ids looked at in one round, at most: rounds after the first are there to fill a page up. */
const longestRound = 200;

/**
 * A page of cards as JSON text: skeleton, hydration, rules, presentation, until there are as many as
 * asked for and one more, which is not shown: it tells that the page is not the last. So a page is
 * short only at the end, and the cursor, the last id shown, never depends on how many were left out.
 * At once, when all of it is in memory.
 */
export function cardPage(
  hydration: Hydration,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
  skeleton: Skeleton,
  rule: typeof maySee,
): TaggedJson | Promise<TaggedJson> {
  const page = new CardPage();
  const goOn = (lookedAt: string, round: number): TaggedJson | Promise<TaggedJson> =>
    when<Round, TaggedJson>(
      skeleton(lookedAt, round),
      ({ ids, ended, origins }) =>
        when<Hydrated, TaggedJson>(
          hydration.hydrate(viewerId, ids, origins),
          ({ cards, liked, relations }) => {
            for (let nth = 0; nth < ids.length; nth++) {
              const card = cards[nth];
              if (!card || !rule(card, viewerId, relations[nth] ?? strangers)) continue;
              if (page.count === limit) return page.present(true);
              page.add(card, liked[nth] ?? false);
            }
            if (ended) return page.present(false);
            return goOn(ids.at(-1) ?? lookedAt, Math.min(2 * round, longestRound));
          },
        ),
    );
  return goOn(before, limit + 1);
}
