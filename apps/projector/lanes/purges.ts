import { z } from "zod";
import {
  mediaDecider,
  type MediaEvent,
  MediaPurged,
  originalKey,
  variantPrefix,
} from "../../../domain/media.ts";
import { accountId, mediaId } from "../../../domain/values.ts";
import type { EdgeCache } from "../../../infra/edge-cache/port.ts";
import type { LogRecord, NewRecord } from "../../../infra/event-log/port.ts";
import type { ObjectStore } from "../../../infra/object-store/port.ts";
import { appendAll, type ReactorServices } from "../reactors/reactor.ts";
import type { Lane } from "./lane.ts";

export interface PurgeServices extends ReactorServices {
  readonly store: ObjectStore;
  readonly edge: EdgeCache;
}

/** The lane of purges that have begun. Beside the facts. */
export const purges = "media-purges";

const purgeRecord = z.strictObject({
  mediaId,
  ownerId: accountId,
  /** Left out when the purge of the medium is recorded by another. */
  cause: MediaPurged.schema.shape.cause.optional(),
  /** Of the variants there were. */
  keys: z.array(z.string()),
});
export type Purge = z.infer<typeof purgeRecord>;

/** Undefined for what this program did not write. */
export function readPurge({ value }: Pick<LogRecord, "value">): Purge | undefined {
  try {
    return purgeRecord.safeParse(JSON.parse(value)).data;
  } catch {
    return undefined;
  }
}

/**
 * Takes a medium out of the store and the edge. The original goes first, so that a worker that is
 * at it notices. Which variants there are is made durable before they are deleted: after that, no
 * list names them any more to whoever has to take this up again, while the edge may still have them.
 *
 * Here they vanish at once, if all is well; that they never come back is the lane's work.
 */
export async function purge(
  medium: Omit<Purge, "keys">,
  services: PurgeServices,
): Promise<void> {
  const { store } = services;
  await store.delete([originalKey(medium.ownerId, medium.mediaId)]);
  const keys: string[] = [];
  for await (const { key } of store.list(variantPrefix(medium.mediaId))) keys.push(key);
  await purgeVariants({ ...medium, keys }, services);
}

/** Takes these variants out of the store and the edge, as `purge` does; the medium lives on. */
export async function purgeVariants(
  variants: Purge,
  { log, store, edge, logger }: PurgeServices,
): Promise<void> {
  const { mediaId, keys } = variants;
  await log.append([recordOf(variants)]);
  await store.delete(keys);
  await edge.purge(keys).catch((error) =>
    logger.warn("the edge has not been purged yet", { mediaId, error })
  );
}

/**
 * Ends each purge: once no fetch can be under way that the edge began before the deletion, purges
 * again, and when the edge has confirmed it records MediaPurged. So an image that such a fetch has
 * brought back goes, and what is recorded as purged is.
 */
export function purgeLane(services: PurgeServices): Lane {
  const { store, edge, logger, now, newId } = services;
  return {
    topic: purges,
    delayMs: edge.settlesWithinMs,
    intervalMs: 2_000,
    batchSize: 100,
    async handle(records) {
      const read = records.flatMap((record) => purgeOf(record, logger) ?? []);
      const keys = [...new Set(read.flatMap(({ keys }) => keys))];
      await store.delete(keys);
      await edge.purge(keys);
      const events = read.flatMap(({ mediaId, ownerId, cause }): readonly MediaEvent[] => {
        if (cause === undefined) return [];
        const decision = mediaDecider.decide(
          { type: "RecordPurge", mediaId, ownerId, cause },
          mediaDecider.initialState,
          { now: now().toISOString(), nextId: newId },
        );
        return decision.ok ? decision.events : [];
      });
      await appendAll(events, services);
    },
  };
}

function recordOf(purge: Purge): NewRecord {
  return { topic: purges, key: purge.mediaId, value: JSON.stringify(purge), headers: {} };
}

function purgeOf(record: LogRecord, logger: ReactorServices["logger"]): Purge | undefined {
  const purge = readPurge(record);
  const { topic, partition, offset } = record;
  if (!purge) {
    logger.error("a lane passed over a record it cannot read", { topic, partition, offset });
  }
  return purge;
}
