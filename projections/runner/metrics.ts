import { Counter, Gauge, Histogram } from "prom-client";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { loadLiveCheckpoints, placeOf } from "./checkpoints.ts";
import { LagAge } from "./lag-age.ts";
import type { Definition } from "./projection.ts";

export const eventsApplied = new Counter({
  name: "shutterlog_projection_events_applied_total",
  help: "Events applied, once committed.",
  labelNames: ["projection"],
  registers: [metrics],
});

export const batchSeconds = new Histogram({
  name: "shutterlog_projection_batch_seconds",
  help: "From receiving a batch to having committed it.",
  labelNames: ["projection"],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
  registers: [metrics],
});

export const projectionErrors = new Counter({
  name: "shutterlog_projection_errors_total",
  help: "Batches that failed for a reason that may pass, and come again.",
  labelNames: ["projection"],
  registers: [metrics],
});

/** Where the gauges look when they are scraped. */
export interface Measured {
  readonly log: Pick<EventLog, "watermarks">;
  readonly sql: SqlQueries;
  readonly projection: Pick<Definition, "name" | "topics">;
}

const measured = new Map<Measured, LagAge>();

/** Shows the lag and the parked keys of what is live of a projection, until the answer is called. */
export function measure(projector: Measured): () => void {
  measured.set(projector, new LagAge());
  return () => {
    measured.delete(projector);
    const { name, topics } = projector.projection;
    parkedKeyCount.remove({ projection: name });
    lagSeconds.remove({ projection: name });
    for (const topic of topics) lag.remove({ projection: name, topic });
  };
}

/** A scrape must not fail because an engine is away: the gauge then keeps what it last showed. */
async function each(read: (projector: Measured, age: LagAge) => Promise<void>): Promise<void> {
  await Promise.allSettled([...measured].map(([projector, age]) => read(projector, age)));
}

/** Both gauges of a scrape are of one look at the engines. */
let looking: Promise<void> | undefined;

function look(): Promise<void> {
  looking ??= each(async ({ log, sql, projection }, age) => {
    const checkpoints = await loadLiveCheckpoints(sql, projection.name);
    const behind = new Map(projection.topics.map((topic) => [topic as string, 0]));
    let longest = 0;
    for (const partition of await log.watermarks(projection.topics)) {
      const next = checkpoints.get(placeOf(partition)) ?? 0;
      const { topic, high } = partition;
      behind.set(topic, (behind.get(topic) ?? 0) + Math.max(0, high - next));
      longest = Math.max(longest, age.look(partition, next, high, performance.now()));
    }
    for (const [topic, records] of behind) {
      lag.set({ projection: projection.name, topic }, records);
    }
    lagSeconds.set({ projection: projection.name }, longest / 1000);
  }).finally(() => looking = undefined);
  return looking;
}

const lag = new Gauge({
  name: "shutterlog_projection_lag_records",
  help: "Records of a topic that the projection has not passed yet.",
  labelNames: ["projection", "topic"],
  registers: [metrics],
  collect: look,
});

const lagSeconds = new Gauge({
  name: "shutterlog_projection_lag_seconds",
  help: "For how long there have been records that the projection has not passed.",
  labelNames: ["projection"],
  registers: [metrics],
  collect: look,
});

const parkedKeyCount = new Gauge({
  name: "shutterlog_projection_parked_keys",
  help: "Keys whose records are parked as dead letters.",
  labelNames: ["projection"],
  registers: [metrics],
  collect: () =>
    each(async ({ sql, projection: { name } }) => {
      const [row] = await sql.query<{ keys: number }>(
        `SELECT count(DISTINCT (topic, key)) AS keys
         FROM projections.dead_letters JOIN projections.live USING (projection, version)
         WHERE projection = $1`,
        [name],
      );
      parkedKeyCount.set({ projection: name }, row?.keys ?? 0);
    }),
});
