import { Counter, Gauge } from "prom-client";
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
