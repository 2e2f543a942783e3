import { Histogram } from "prom-client";
import type { DomainEvent } from "../../domain/events.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";

/**
 * - `batch`: pushed to the first page of the author's followers, which for almost every author is all of
 *   them, or left to readers.
 * - `slices`: pushed to the last of very many followers.
 */
export type Reached = "batch" | "slices";

/** Seconds. A feed that is made again meets posts of years ago; of how fresh feeds are that says nothing. */
const replayed = 60 * 60;

const freshness = new Histogram<"reached">({
  name: "shutterlog_feed_freshness_seconds",
  help: "Seconds from a PostCreated's time until it is in its author's followers' feeds.",
  labelNames: ["reached"],
  buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600],
  registers: [metrics],
});

/** Tells how long the posts among these events took until now. */
export function postsReached(
  events: readonly { readonly event: DomainEvent }[],
  reached: Reached,
): void {
  for (const { event } of events) {
    if (event.type === "PostCreated") reachedAfter(Date.now() - Date.parse(event.time), reached);
  }
}

/** Tells how long a post took whose id is all that is known of it: a UUIDv7 begins with its time. */
export function postReached(postId: string, reached: Reached): void {
  reachedAfter(Date.now() - parseInt(postId.replaceAll("-", "").slice(0, 12), 16), reached);
}

function reachedAfter(milliseconds: number, reached: Reached): void {
  const seconds = Math.max(0, milliseconds / 1000);
  if (seconds < replayed) freshness.observe({ reached }, seconds);
}
