import { Counter, Gauge, Histogram } from "prom-client";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";

export const fanOutSlices = new Counter({
  name: "shutterlog_feeds_fan_out_slices_total",
  help: "Slices of fan-outs done: a post's first followers in its batch, then a page of them each.",
  labelNames: ["kind"],
  registers: [metrics],
});

export const followersTold = new Counter({
  name: "shutterlog_feeds_followers_told_total",
  help:
    "Followers pushed a post (push) or told to pull an author (pull), whether their feed is cached.",
  labelNames: ["kind"],
  registers: [metrics],
});

const fanOutSeconds = new Histogram({
  name: "shutterlog_feeds_fan_out_seconds",
  help:
    "From a post to the last of its followers' feeds, of posts that are pushed; replays count too.",
  buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  registers: [metrics],
});

/** The last feed has a post, whose id tells since when it is one. */
export function fannedOut(postId: string, now = Date.now()): void {
  fanOutSeconds.observe(Math.max(0, now - millisecondsOf(postId)) / 1000);
}

/** The time in a UUIDv7 (RFC 9562 §5.7). */
function millisecondsOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

const measured = new Set<SqlQueries>();

/** Shows how many fan-outs are open from now on, until the answer is called. */
export function measureFanOuts(sql: SqlQueries): () => void {
  measured.add(sql);
  return () => {
    measured.delete(sql);
    openFanOuts.reset();
  };
}

const openFanOuts = new Gauge({
  name: "shutterlog_feeds_fan_outs_open",
  help:
    "Fan-outs on record, of which some followers are still to be told; of all projectors together.",
  registers: [metrics],
  // A scrape must not fail because an engine is away: the gauge then keeps what it last showed.
  async collect() {
    for (const sql of measured) {
      await sql.query<{ open: number }>("SELECT count(*) AS open FROM feeds.fan_outs")
        .then(([row]) => this.set(row?.open ?? 0), () => {});
    }
  },
});
