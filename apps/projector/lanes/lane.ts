import { setTimeout as delay } from "node:timers/promises";
import type { EventLog, LogRecord } from "../../../infra/event-log/port.ts";
import { tracedBatch } from "../../../infra/event-log/tracing.ts";
import { migrate } from "../../../infra/sql/migrate.ts";
import type { Sql } from "../../../infra/sql/port.ts";
import type { Logger } from "../../../infra/telemetry/logger.ts";
import type { Stoppable } from "../../stoppable.ts";

/** Records that are to be dealt with a fixed time after they were appended. */
export interface Lane {
  /** One that is not of the facts. */
  readonly topic: string;
  /** Milliseconds from a record's timestamp until it is due. */
  readonly delayMs: number;
  /** Milliseconds between two visits to a partition, a fifth more or less. */
  readonly intervalMs: number;
  /** Records handed over at a time. */
  readonly batchSize: number;
  /** Takes records of one partition, in order. When it throws they come again at the next visit. */
  handle(records: readonly LogRecord[], signal: AbortSignal): Promise<void>;
}

export interface LaneServices {
  readonly log: Pick<EventLog, "read" | "watermarks">;
  readonly sql: Sql;
  readonly logger: Logger;
  now(): Date;
}

/** Milliseconds that a batch may take before another process thinks its visitor dead. */
const lease = 60_000;

/**
 * Works a lane off. A visit reads a partition from its cursor to the first record that is not due, so
 * its cost is that of the records that have become due since the last, whatever the lane holds.
 *
 * Not a consumer group, whose member hands over what it has fetched of all its partitions: there, one
 * young record of a quiet partition would hold up all the old ones of the others.
 *
 * Any number of processes may do it. A visit begins by putting the partition's next visit ahead, in
 * one statement, so that nobody else comes; a visitor that was killed is followed when its lease has
 * run out. Should two be at it all the same, records are handled twice, and the cursor, which moves
 * by compare-and-set, never goes back.
 */
export async function startLane(lane: Lane, services: LaneServices): Promise<Stoppable> {
  const { topic, intervalMs } = lane;
  const { log, sql } = services;
  const logger = services.logger.with({ lane: topic });
  await migrate(sql, new URL("migrations/", import.meta.url), "lanes");
  const partitions = (await log.watermarks([topic])).map(({ partition }) => partition);
  await sql.query(
    `INSERT INTO lanes.cursors (topic, partition)
     SELECT $1, partition FROM unnest($2::integer[]) AS p (partition) ON CONFLICT DO NOTHING`,
    [topic, partitions],
  );
  const stopping = new AbortController();
  const { signal } = stopping;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        while (!signal.aborted && await visitNext(lane, services, signal));
      } catch (error) {
        if (!signal.aborted) logger.error("a lane stumbled and tries again", { error });
      }
      await delay(jittered(intervalMs / 2), undefined, { signal }).catch(() => {});
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/**
 * Visits the partition that has waited longest of those that hold more; resolves to false when none is
 * to be visited yet.
 */
async function visitNext(
  lane: Lane,
  { log, sql, now }: LaneServices,
  signal: AbortSignal,
): Promise<boolean> {
  const { topic, delayMs, intervalMs, batchSize } = lane;
  // An idle lane writes nothing.
  const ends = await log.watermarks([topic]);
  const [claimed] = await sql.query<{ partition: number; next_offset: number }>(
    `UPDATE lanes.cursors SET visit_at = now() + $2 * interval '1 millisecond'
     WHERE (topic, partition) = (
       SELECT topic, partition FROM lanes.cursors
       JOIN unnest($3::integer[], $4::bigint[]) AS ends (partition, high) USING (partition)
       WHERE topic = $1 AND visit_at <= now() AND next_offset < high
       ORDER BY visit_at LIMIT 1 FOR UPDATE OF cursors SKIP LOCKED)
     RETURNING partition, next_offset`,
    [topic, lease, ends.map(({ partition }) => partition), ends.map(({ high }) => high)],
  );
  if (!claimed) return false;
  const { partition } = claimed;
  let next = claimed.next_offset;

  /** Whether the partition is still this visit's. */
  const move = async (to: number, nextVisitMs: number): Promise<boolean> => {
    const moved = await sql.query(
      `UPDATE lanes.cursors SET next_offset = $4, visit_at = now() + $5 * interval '1 millisecond'
       WHERE topic = $1 AND partition = $2 AND next_offset = $3 RETURNING partition`,
      [topic, partition, next, to, nextVisitMs],
    );
    next = to;
    return moved.length > 0;
  };

  try {
    for await (const records of log.read({ topic, partition }, next, { batchSize, signal })) {
      const dueBefore = now().getTime() - delayMs;
      const undue = records.findIndex(({ timestamp }) => timestamp > dueBefore);
      const due = undue < 0 ? records : records.slice(0, undue);
      const last = due.at(-1);
      if (last) {
        await tracedBatch(`lane.${topic}`, due, () => lane.handle(due, signal));
        if (!await move(last.offset + 1, lease)) return true;
      }
      if (undue >= 0) break;
    }
  } catch (error) {
    // Another process may take over what this one leaves as it ends.
    await move(next, signal.aborted ? 0 : jittered(intervalMs));
    throw error;
  }
  await move(next, jittered(intervalMs));
  return true;
}

/** Processes that were started together do not keep in step. */
function jittered(milliseconds: number): number {
  return Math.round(milliseconds * (0.8 + 0.4 * Math.random()));
}
