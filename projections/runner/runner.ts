import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { tracedBatch } from "../../infra/event-log/tracing.ts";
import type { Sql } from "../../infra/sql/port.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { Applier } from "./applier.ts";
import { ensureProjection } from "./control.ts";
import { measure, projectionErrors } from "./metrics.ts";
import { Progress } from "./progress.ts";
import type { Projection } from "./projection.ts";

export interface ProjectorOptions {
  readonly log: EventLog;
  readonly sql: Sql;
  readonly projections: readonly Projection[];
  readonly sealer: TextSealer;
  readonly logger: Logger;
  /** Woken after every commit. Those in the same process that wait should share it. */
  readonly progress?: Progress;
  /** Begins the names of the consumer groups, `projector` when left out. */
  readonly group?: string;
  /** Records in one transaction, at most; the log's own default when left out. */
  readonly maximumBatch?: number;
}

export interface Projector {
  /** Finishes the batches in hand and leaves the groups. */
  stop(): Promise<void>;
}

/**
 * Keeps projections up to date, each in a consumer group of its own, so that none waits for another
 * unless it says so with `after`. Any number of processes may run the same projections; the groups
 * share the partitions out, and the checkpoints decide when two believe to own the same one.
 *
 * Live is lenient: what cannot be applied is parked with all that follows of its key, and everything
 * else goes on. Trouble with an engine parks nothing: the batch comes again until it passes.
 */
export async function startProjector(options: ProjectorOptions): Promise<Projector> {
  const { log, sql, projections, progress = new Progress(sql) } = options;
  for (const projection of projections) await ensureProjection(sql, log, projection);
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    await Promise.all(stops.splice(0).map((end) => end()));
  };
  try {
    for (const projection of projections) {
      stops.push(await consume({ ...options, progress }, projection));
      const unmeasure = measure({ log, sql, projection });
      stops.push(() => Promise.resolve(unmeasure()));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}

export async function consume(
  options: Omit<ProjectorOptions, "projections"> & { progress: Progress },
  projection: Projection,
): Promise<() => Promise<void>> {
  const { log, sql, sealer, progress, group = "projector", maximumBatch } = options;
  const { name, version, topics } = projection;
  const logger = options.logger.with({ projection: name, version });
  const applier = new Applier({
    log,
    sql,
    projection,
    sealer,
    progress,
    strict: false,
    onParked: (letters) => {
      for (const { record: { topic, partition, offset, key }, category, message } of letters) {
        logger.warn("record parked", { topic, partition, offset, key, category, reason: message });
      }
    },
  });
  const consumerGroup = `${group}.${name}.v${version}`;
  const consumption = await log.consume({
    group: consumerGroup,
    topics,
    startAt: (partitions) => applier.startAt(partitions),
    handle: (records, signal) =>
      tracedBatch(consumerGroup, records, () => applier.take(records, signal)),
    onError: (error) => {
      projectionErrors.inc({ projection: name });
      logger.error("batch failed and comes again", { error });
    },
    maximumBatch,
  });
  return () => consumption.stop();
}
