/** A part of a feed below some id: at most as many ids as were asked for, newest first. */
export interface Part {
  readonly ids: readonly string[];
  /** Whether there are fewer because what is cached ends here, and not the feed. */
  readonly endsAtFloor: boolean;
}

/**
 * The newest `limit` ids of all parts, each once. Where a part ends at its floor nothing is known of
 * what it has below, so nothing of the others below it is taken either: from there on the database
 * answers for all of them alike.
 */
export function mergeLists(parts: readonly Part[], limit: number): Part {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  const cut = parts.filter((part) => part.endsAtFloor);
  const known = cut.flatMap(({ ids }) => ids.at(-1) ?? above).sort().at(-1) ?? "";
  const union = [...new Set(parts.flatMap(({ ids }) => ids))].filter((id) => id >= known);
  const ids = union.sort().reverse().slice(0, limit);
  return { ids, endsAtFloor: ids.length < limit && cut.length > 0 };
}

/** Of a part without ids nothing is known at all. */
const above = "g";
