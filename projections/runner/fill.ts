import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { loadCheckpoints, placeOf } from "./checkpoints.ts";
import {
  type Lane,
  type LaneOptions,
  openLane,
  type OpenLaneThread,
  type Stretch,
} from "./lane.ts";
import type { Projection, Told } from "./projection.ts";

export interface Filling extends Partial<LaneOptions> {
  readonly log: Pick<EventLog, "read" | "watermarks">;
  readonly sql: Sql;
  readonly sealer: TextSealer;
  readonly projection: Projection;
  /** Partitions at a time in this thread, 4 when left out; half of them beside other threads. */
  readonly lanes?: number;
  /** Where it is worth it, more lanes join from the threads that this opens. */
  readonly openLaneThread?: OpenLaneThread;
}

/**
 * Brings a projection from its checkpoints to the high watermark as it is now, several partitions at
 * a time, and resolves to how many records it lacked. Each batch commits with its
 * checkpoint, so that killed at any instant it goes on where it was.
 *
 * Commits do not wait for the disk (`synchronous_commit = off`): what a crash of the server takes, it
 * takes together with its checkpoint.
 * @throws {UnfitRecord}
 */
export async function fill(filling: Filling, { signal, onStep }: Told): Promise<number> {
  const { log, sql, projection, lanes = 4, openLaneThread } = filling;
  const { strict = true, filledAlone = false } = filling;
  // An engine that threads can share has other connections, which no long transaction holds up.
  const { batchSize = openLaneThread ? 10_000 : 5_000 } = filling;
  const options = { strict, filledAlone, batchSize };
  const partitions = await log.watermarks(projection.topics);
  const checkpoints = await loadCheckpoints(sql, projection);
  // The longest is taken first, so that no lane is left with a long one at the end.
  const due = partitions
    .map(({ topic, partition, high }): Stretch => ({
      ...{ topic, partition, high },
      from: checkpoints.get(placeOf({ topic, partition })) ?? 0,
    }))
    .filter(({ from, high }) => from < high)
    .sort((a, b) => (a.high - a.from) - (b.high - b.from));
  const of = due.reduce((sum, { from, high }) => sum + high - from, 0);
  if (of === 0) return 0;
  let done = 0;
  const step = () => onStep({ what: `${projection.name} v${projection.version}`, done, of });
  step();

  const failed = new AbortController();
  const stopped = AbortSignal.any([signal, failed.signal]);
  const workOff = async (lane: Lane) => {
    for (let next = due.pop(); next; next = due.pop()) {
      await lane.fill(next, stopped, (records) => {
        done += records;
        step();
      });
    }
  };
  const all = (lanes: readonly Lane[]) =>
    Promise.all(lanes.map((lane) => workOff(lane).catch((error) => failed.abort(error))));
  const thread = projection.kind === "transactional"
    ? openLaneThread?.(projection, options, of)
    : undefined;
  const joining = thread?.lanes.then(all, (error) => failed.abort(error));
  const here = thread ? Math.ceil(lanes / 2) : lanes;
  await all(Array.from({ length: here }, () => openLane({ ...filling, ...options })));
  // Now nothing is due: what threads have in hand is waited for.
  await thread?.close();
  await joining;
  failed.signal.throwIfAborted();
  return of;
}

/** Far less than a batch, so that the rest is passed in a moment. */
const nearEnough = 200;

/** Fills again and again, until what has come meanwhile is little; resolves to how many records it was. */
export async function fillUntilNear(filling: Filling, told: Told): Promise<number> {
  let records = 0;
  for (let lacked = Infinity; lacked > nearEnough;) records += lacked = await fill(filling, told);
  return records;
}
