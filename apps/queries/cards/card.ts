import type { AccountRow } from "../../../projections/read-model/reads/accounts.ts";

/** What everyone sees of a post: the same for all viewers, so that it may be kept between them. */
export interface Card {
  readonly authorId: string;
  /** Whether any of its media can be shown, now or once it is processed. */
  readonly hasMedia: boolean;
  /** JSON text up to and with `"viewer":`. */
  readonly json: string;
  /** Another one when `json` is another. */
  readonly tag: number;
  /** The cursor of a page that ends with it, as JSON text. */
  readonly cursorJson: string;
}

/** An account as JSON text. Without a display name it goes by its handle. */
export function accountJson(row: AccountRow): string {
  const avatar = row.avatar === null ? "" : `,"avatar":${row.avatar}`;
  return `{"id":"${row.account_id}","handle":${JSON.stringify(row.handle)},` +
    `"displayName":${JSON.stringify(row.display_name ?? row.handle)},` +
    `"bio":${JSON.stringify(row.bio ?? "")}${avatar}}`;
}
