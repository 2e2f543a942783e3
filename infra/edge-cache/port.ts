/** What a CDN keeps of the variants it has served. */
export interface EdgeCache {
  /**
   * Milliseconds after which no fetch of the edge's that had begun before is still under way. Such a
   * fetch may have read an object before its deletion, and be stored after its purge; so what must
   * not come back is purged again when these have passed.
   */
  readonly settlesWithinMs: number;
  /**
   * Makes the edge forget these objects, which have been deleted from the store before. Purging what it
   * does not have succeeds.
   * @throws {EdgeUnavailable} when it has not confirmed each of them; purging again is safe.
   */
  purge(keys: readonly string[]): Promise<void>;
}

/** The edge cannot be reached, cannot reach the store, or still has what was to be purged. */
export class EdgeUnavailable extends Error {
  override readonly name = "EdgeUnavailable";
}
