import { encodeCursor } from "../page-query.ts";
import type { Card } from "./card.ts";

/** The last step: JSON text, joined from what is JSON text already. */
export function presentCard(card: Card, liked: boolean): string {
  return card.json + (liked ? '{"liked":true}}' : '{"liked":false}}');
}

/** `lastId`: where the next page goes on below; undefined at the end. */
export function presentPage(items: readonly string[], lastId: string | undefined): string {
  const nextCursor = lastId === undefined ? "null" : `"${encodeCursor(lastId)}"`;
  return `{"items":[${items.join(",")}],"nextCursor":${nextCursor}}`;
}

/** A page of a list that was read with one entry more than `limit`: that tells whether it goes on. */
export function presentList<Row extends { readonly id: string }>(
  rows: readonly Row[],
  limit: number,
  present: (row: Row) => string,
): string {
  const page = rows.slice(0, limit);
  return presentPage(page.map(present), rows.length > limit ? page.at(-1)?.id : undefined);
}
