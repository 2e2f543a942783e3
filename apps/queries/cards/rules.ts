import type { Card } from "./card.ts";

/** How a viewer stands to an account. */
export interface Relation {
  readonly following: boolean;
  readonly blocking: boolean;
  readonly blockedBy: boolean;
}

const all: readonly Relation[] = Array.from({ length: 8 }, (_, bits) => ({
  following: (bits & 1) > 0,
  blocking: (bits & 2) > 0,
  blockedBy: (bits & 4) > 0,
}));

/** One of the eight that there can be, so that keeping many takes no memory for each. */
export function relationOf({ following, blocking, blockedBy }: Relation): Relation {
  return all[Number(following) + 2 * Number(blocking) + 4 * Number(blockedBy)] ?? strangers;
}

/** How everyone stands to everyone who has not said anything, and whoever is not signed in. */
export const strangers: Relation = { following: false, blocking: false, blockedBy: false };

/**
 * The third step: whether a viewer may see a post. Not where either blocks the other. Not while none
 * of its media can be shown, unless it is the viewer's own, who is to learn why.
 */
export function maySee(
  card: Card,
  viewerId: string | undefined,
  { blocking, blockedBy }: Relation,
): boolean {
  return card.authorId === viewerId || card.hasMedia && !blocking && !blockedBy;
}

/** Whether a post belongs in a reader's feed: cached feeds hold some of accounts since unfollowed. */
export function belongsInFeed(
  card: Card,
  viewerId: string | undefined,
  relation: Relation,
): boolean {
  return relation.following && maySee(card, viewerId, relation);
}
