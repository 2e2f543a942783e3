import type { TopicSpec } from "../infra/event-log/port.ts";

/**
 * Partitions of a lane, which carries little, or is read in large batches. A follower looks at every
 * partition of its leader whenever one of them has something for it, so each that lies idle makes all
 * others dearer.
 */
const partitions = 4;

/** A topic beside the facts: of what is to be done, for a time, or until someone has looked at it. */
export function lane(name: string, retentionMs?: number): TopicSpec {
  return { name, partitions, anyNumber: true, ...(retentionMs && { retentionMs }) };
}
