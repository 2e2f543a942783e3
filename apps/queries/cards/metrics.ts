import { metrics } from "../../../infra/telemetry/metrics.ts";
import { Tally } from "../../../infra/telemetry/tally.ts";

/** Below: the page goes on past what the cache keeps, in the database. */
export const feedReads = new Tally({
  name: "shutterlog_feed_reads_total",
  help: "Rounds of reading a reader's feed, by whether the feed cache had it.",
  label: "result",
  values: ["hit", "below", "miss"],
  metrics,
});

export const cardReads = new Tally({
  name: "shutterlog_card_reads_total",
  help: "Cards asked for, by whether this process had them in memory.",
  label: "result",
  values: ["hit", "miss"],
  metrics,
});

export const partReads = new Tally({
  name: "shutterlog_card_part_reads_total",
  help: "Posts, authors and media asked for, by whether the cache that processes share had them.",
  label: "result",
  values: ["hit", "miss"],
  metrics,
});
