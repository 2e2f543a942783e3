import type { Topic } from "../../domain/event.ts";
import { UnreadableEvent } from "../../domain/event.ts";
import { decodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import { partitionOf } from "../../infra/event-log/partitioner.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { Recorded } from "../runner/projection.ts";

export type ReadableLog = Pick<EventLog, "read" | "watermarks">;

/** Leaves text sealed: what posts say is nobody's business here. */
const sealed: TextSealer = {
  seal: (_owner, _context, text) => Promise.resolve(text),
  open: (_owner, _context, text) => Promise.resolve(text),
};

/** The events of a topic, or of one of its keys, from the log; what cannot be read is left out. */
export async function* eventsOf(
  log: ReadableLog,
  topic: Topic,
  { key, onRead = () => {} }: { key?: string; onRead?: (records: number) => void } = {},
): AsyncGenerator<Recorded> {
  const partitions = await log.watermarks([topic]);
  const only = key === undefined ? undefined : partitionOf(key, partitions.length);
  for (const { partition } of partitions) {
    if (only !== undefined && partition !== only) continue;
    for await (const records of log.read({ topic, partition }, 0)) {
      onRead(records.length);
      for (const record of records) {
        if (key !== undefined && record.key !== key) continue;
        try {
          const { offset } = record;
          yield { topic, partition, offset, event: await decodeEvent(record, sealed) };
        } catch (error) {
          if (!(error instanceof UnreadableEvent)) throw error;
        }
      }
    }
  }
}
