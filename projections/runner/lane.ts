import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog, TopicPartition } from "../../infra/event-log/port.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { Applier } from "./applier.ts";
import { BloomMemory } from "./key-memory.ts";
import { Progress } from "./progress.ts";
import type { Projection } from "./projection.ts";

/** What a partition lacks: from its checkpoint to the high watermark. */
export interface Stretch extends TopicPartition {
  readonly from: number;
  readonly high: number;
}

/** What fills stretches, one after the other: in this thread, or in one of its own. */
export interface Lane {
  /**
   * Resolves once all of it is committed, and calls `onPassed` with each batch's records. Cut off, it
   * has ended its last transaction one way or the other before it rejects.
   * @throws {UnfitRecord} @throws the signal's reason.
   */
  fill(stretch: Stretch, signal: AbortSignal, onPassed: (records: number) => void): Promise<void>;
}

/** How a version is filled, whichever thread does it. */
export interface LaneOptions {
  /** Parks what does not fit when false. */
  readonly strict: boolean;
  /** Nobody else writes to this version, or has parked anything of it. */
  readonly filledAlone: boolean;
  /** Records in one transaction. */
  readonly batchSize: number;
}

/** Lanes outside this thread. */
export interface LaneThread {
  /** Resolves once they can be used; to none when it is closed before. */
  readonly lanes: Promise<readonly Lane[]>;
  /** Waits for what they have in hand. */
  close(): Promise<void>;
}

/**
 * Starts them, with engines of their own, for a version of a projection; undefined when so many
 * records are too few to be worth it.
 */
export type OpenLaneThread = (
  projection: Pick<Projection, "name" | "version">,
  options: LaneOptions,
  records: number,
) => LaneThread | undefined;

/** Events by whose ids, and rows by whose keys, each record may be remembered. */
const keysPerRecord = 2;

/** A lane in this thread. */
export function openLane(
  { log, sql, sealer, projection, strict, filledAlone, batchSize }: LaneOptions & {
    readonly log: Pick<EventLog, "read">;
    readonly sql: Sql;
    readonly sealer: TextSealer;
    readonly projection: Projection;
  },
): Lane {
  const progress = new Progress(sql);
  return {
    async fill({ topic, partition, from, high }, signal, onPassed) {
      const alone = filledAlone && from === 0;
      const applier = new Applier({
        ...{ log, sql, projection, sealer, progress, strict, durable: false },
        ...(alone && { memory: new BloomMemory(high * keysPerRecord) }),
      });
      await applier.startAt([{ topic, partition }]);
      for await (const batch of log.read({ topic, partition }, from, { batchSize, signal })) {
        const records = batch.filter(({ offset }) => offset < high);
        await applier.take(records, signal);
        onPassed(records.length);
        if (records.length < batch.length) break;
      }
    },
  };
}
