import type { DomainEvent } from "../../../domain/events.ts";

/** What the log says of the objects of the media of one partition. */
interface Medium {
  /** Undefined before MediaUploaded. */
  original?: string;
  recipe: number;
  variants: readonly string[];
  /** Of earlier recipes, which may still be there while they are being retired. */
  retiring: readonly string[];
  purged: boolean;
}

/**
 * Which objects there must be, from the events of one partition, in order. It holds some 600 bytes a
 * medium, and lives for one partition.
 */
export class MediaObjects {
  readonly #media = new Map<string, Medium>();
  readonly #recently: number;

  /** @param recently milliseconds since the epoch: what has happened since may not be carried out yet. */
  constructor(recently: number) {
    this.#recently = recently;
  }

  take(event: DomainEvent): void {
    switch (event.type) {
      case "MediaUploaded":
        this.#of(event.data.mediaId).original = event.data.objectKey;
        break;
      case "VariantsReady": {
        const { mediaId, recipe, variants } = event.data;
        const medium = this.#of(mediaId);
        if (recipe <= medium.recipe) break;
        if (Date.parse(event.time) >= this.#recently) {
          medium.retiring = [...medium.retiring, ...medium.variants];
        }
        medium.recipe = recipe;
        medium.variants = Object.values(variants).map(({ objectKey }) => objectKey);
        break;
      }
      case "MediaPurged":
        this.#of(event.data.mediaId).purged = true;
    }
  }

  /** Keys of the objects that must be there. */
  *expected(): Generator<{ key: string; mediaId: string }> {
    for (const [mediaId, { original, variants, purged }] of this.#media) {
      if (purged) continue;
      if (original !== undefined) yield { key: original, mediaId };
      for (const key of variants) yield { key, mediaId };
    }
  }

  /** Keys of those that need not be there, and may be. */
  *bearable(): Generator<string> {
    for (const { retiring } of this.#media.values()) yield* retiring;
  }

  #of(mediaId: string): Medium {
    return this.#media.getOrInsertComputed(
      mediaId,
      () => ({ recipe: 0, variants: [], retiring: [], purged: false }),
    );
  }
}
