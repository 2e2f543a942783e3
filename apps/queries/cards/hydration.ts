import type { SqlQueries } from "../../../infra/sql/port.ts";
import { likedAmong } from "../../../projections/read-model/reads/likes.ts";
import { postCards } from "../../../projections/read-model/reads/post-cards.ts";
import { type Relations, relationsTo } from "../../../projections/read-model/reads/relations.ts";
import { type Card, cardOf } from "./card.ts";

/** The second step: what is to be known of some posts, for everyone and for this viewer. */
export interface Hydrated {
  /** By post id. Deleted posts and those of closed or unknown authors are not among them. */
  readonly cards: ReadonlyMap<string, Card>;
  readonly liked: ReadonlySet<string>;
  readonly relations: Relations;
}

const nobody: ReadonlySet<string> = new Set();
const noRelations: Relations = { following: nobody, blocking: nobody, blockedBy: nobody };

export async function hydrate(
  sql: SqlQueries,
  viewerId: string | undefined,
  postIds: readonly string[],
): Promise<Hydrated> {
  if (postIds.length === 0) return { cards: new Map(), liked: nobody, relations: noRelations };
  const [cards, liked] = await Promise.all([
    cardsOf(sql, postIds),
    viewerId === undefined ? nobody : likedAmong(sql, viewerId, postIds),
  ]);
  const authorIds = new Set(Array.from(cards.values(), (card) => card.authorId));
  const relations = viewerId === undefined
    ? noRelations
    : await relationsTo(sql, viewerId, [...authorIds]);
  return { cards, liked, relations };
}

async function cardsOf(
  sql: SqlQueries,
  postIds: readonly string[],
): Promise<ReadonlyMap<string, Card>> {
  const rows = await postCards(sql, postIds);
  return new Map(rows.map((row) => [row.post_id, cardOf(row)]));
}
