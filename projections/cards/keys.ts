import type { Pointer } from "../runner/live-schemas.ts";

/**
 * What is kept of the read model and the manifests between readings, each part under a key of its own,
 * so that a change evicts one key however many cards show it: a card is put together from its post,
 * its author and its media. The last two are one viewer's, and kept in the processes that asked.
 */
export const keyOf = {
  post: (postId: string) => `post:${postId}`,
  account: (accountId: string) => `account:${accountId}`,
  medium: (mediaId: string) => `medium:${mediaId}`,
  /** Whether a viewer likes a post. */
  likes: (viewerId: string, postId: string) => `likes:${viewerId}:${postId}`,
  /** Whether a viewer follows or blocks another, or is blocked by them. */
  relations: (viewerId: string, accountId: string) => `relations:${viewerId}:${accountId}`,
} as const;

export type KeyKind = keyof typeof keyOf;

/** The opposite: `of` is what a viewer's key is about besides the viewer. */
export function partsOf(
  key: string,
): { readonly kind: string; readonly id: string; readonly of: string } {
  const [kind = "", id = "", of = ""] = key.split(":");
  return { kind, id, of };
}

/** What is kept is read from these; a switch of any other leaves it as it is. */
export const keptOf: readonly string[] = ["read_model", "manifests"];

/** What is live of the projections that are kept of. */
export interface Generation {
  /** Goes up with every switch of any of them. */
  readonly generation: number;
  /** Switches so recent that others may still go by a generation before them. */
  readonly recent: number;
}

export function generationOf({ switches }: Pick<Pointer, "switches">): Generation {
  const known = keptOf.flatMap((name) => switches.get(name) ?? []);
  return {
    generation: known.reduce((sum, { count }) => sum + count, 0),
    recent: known.filter(({ recent }) => recent).length,
  };
}

/** Without versions that change. */
export const firstGeneration: Generation = { generation: 0, recent: 0 };

/**
 * What is shared by processes is kept under the generation of the projections it was read from: after
 * a switch nobody finds what was read from the version before. The first one is not written.
 */
export function inGeneration(generation: number, key: string): string {
  return generation === 0 ? key : `${generation}/${key}`;
}

/** The key alone. */
export function withoutGeneration(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}

/** Evicted when what is live is another version: nothing that is kept is of use any more. */
export const everything = "everything:";
