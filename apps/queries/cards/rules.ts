import type { Relations } from "../../../projections/read-model/reads/relations.ts";
import type { Card } from "./card.ts";

/**
 * The third step: whether a viewer may see a post. Not where either blocks the other. Not while none
 * of its media can be shown, unless it is the viewer's own, who is to learn why.
 */
export function maySee(
  card: Card,
  viewerId: string | undefined,
  { blocking, blockedBy }: Relations,
): boolean {
  if (card.authorId === viewerId) return true;
  return card.hasMedia && !blocking.has(card.authorId) && !blockedBy.has(card.authorId);
}

/** Whether a post belongs in a reader's feed: cached feeds hold some of accounts since unfollowed. */
export function belongsInFeed(
  card: Card,
  viewerId: string | undefined,
  relations: Relations,
): boolean {
  return relations.following.has(card.authorId) && maySee(card, viewerId, relations);
}
