import type { TaggedJson } from "../../../infra/http/etag.ts";
import { encodeCursor } from "../page-query.ts";
import { type Card, itemFor } from "./card.ts";

const presented = new WeakMap<Card, (TaggedJson | undefined)[]>();

/** The last step: JSON text, joined from what is JSON text already. The same for the same card. */
export function presentCard(card: Card, liked: boolean): TaggedJson {
  const both = presented.getOrInsertComputed(card, () => []);
  return both[Number(liked)] ??= {
    json: itemFor(card, liked).slice(1),
    tag: fold(card.tag, Number(liked)),
    lasting: true,
  };
}

/**
 * A page of cards, put together as they come. Its text is a rope of theirs, made flat when it is
 * written to the socket: an array of them, joined, took four times as long. Its tag is made of theirs.
 */
export class CardPage {
  #json = '{"items":[';
  #tag = 0;
  #count = 0;
  #last: Card | undefined;

  get count(): number {
    return this.#count;
  }

  add(card: Card, liked: boolean): void {
    const item = itemFor(card, liked);
    // Of one that is flat: to cut a rope would make it flat.
    this.#json += this.#count === 0 ? item.slice(1) : item;
    this.#tag = fold(fold(this.#tag, card.tag), Number(liked));
    this.#count += 1;
    this.#last = card;
  }

  present(goesOn: boolean): TaggedJson {
    const cursor = goesOn && this.#last ? this.#last.cursorJson : "null";
    return {
      json: `${this.#json}],"nextCursor":${cursor}}`,
      tag: fold(this.#tag, Number(goesOn)),
    };
  }
}

/** A step of a hash, as FNV-1a takes it, of 32 bits at a time. */
function fold(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193);
}

/** `lastId`: where the next page goes on below; undefined at the end. */
function presentPage(items: readonly string[], lastId: string | undefined): string {
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
