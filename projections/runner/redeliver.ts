import type { Projection, Recorded } from "./projection.ts";

/**
 * Gives the projections that come after `redriven` events that it has only now applied: dead letters.
 * They passed these events when it had, as dead letters, without what they hold; a feed filled since
 * lacks the post.
 *
 * Whoever redrives calls it after the events are committed to `redriven` and before their letters are
 * gone. Killed in between, the letters are redriven again: effects are idempotent, and a read model
 * takes an event it has for none.
 */
export async function redeliver(
  projections: readonly Projection[],
  redriven: string,
  events: readonly Recorded[],
  signal: AbortSignal,
): Promise<void> {
  for (const projection of projections) {
    if (projection.kind !== "effect" || !projection.after?.includes(redriven)) continue;
    const topics = new Set<string>(projection.topics);
    const its = events.filter(({ topic }) => topics.has(topic));
    if (its.length > 0) await projection.apply(its, signal);
  }
}
