import type { AccountRow } from "../../../projections/read-model/reads/accounts.ts";

/** What everyone sees of a post: the same for all viewers, so that it may be kept between them. */
export interface Card {
  readonly authorId: string;
  /** Whether any of its media can be shown, now or once it is processed. */
  readonly hasMedia: boolean;
  /** Behind a comma, JSON text for viewers who do not like it: as most of a page is made of. */
  readonly item: string;
  /** Another one when `item` is another. */
  readonly tag: number;
  /** The cursor of a page that ends with it, as JSON text. */
  readonly cursorJson: string;
}

/** How a viewer stands to a post, as JSON text: the last of its card. */
export const unliked = '{"liked":false}';
const liked = '{"liked":true}';

/** Behind a comma, JSON text for a viewer. */
export function itemFor(card: Card, likes: boolean): string {
  return likes ? `${card.item.slice(0, -unliked.length - 1)}${liked}}` : card.item;
}

/** An account as JSON text. Without a display name it goes by its handle. */
export function accountJson(row: AccountRow): string {
  const avatar = row.avatar === null ? "" : `,"avatar":${row.avatar}`;
  return `{"id":"${row.account_id}","handle":${JSON.stringify(row.handle)},` +
    `"displayName":${JSON.stringify(row.display_name ?? row.handle)},` +
    `"bio":${JSON.stringify(row.bio ?? "")}${avatar}}`;
}
