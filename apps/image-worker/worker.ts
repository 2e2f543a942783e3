import { setTimeout as delay } from "node:timers/promises";
import type { DomainEvent } from "../../domain/events.ts";
import { type EventOf, partitionCount, UnreadableEvent } from "../../domain/event.ts";
import type { MediaUploaded } from "../../domain/media.ts";
import { decodeEvent, encodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import type { LogRecord, NewRecord, TopicSpec } from "../../infra/event-log/port.ts";
import { carriedOn, tracedRecord } from "../../infra/event-log/tracing.ts";
import { type ObjectStore, StoreUnavailable } from "../../infra/object-store/port.ts";
import { noteFailure } from "../../infra/telemetry/tracing.ts";
import { inParallel } from "../in-parallel.ts";
import { lane } from "../lane-topics.ts";
import { makeVariants } from "./medium.ts";
import { attempts, attemptSeconds, variantsSeconds, whileInHand } from "./metrics.ts";
import type { ImageWorkerOptions } from "./options.ts";
import { regenerationTopics } from "./regeneration-records.ts";
import { startRegenerations } from "./regenerations.ts";
import {
  afterFailure,
  attemptAt,
  deadLetter,
  deadLetterTopic,
  dueIn,
  retryTopic,
} from "./retries.ts";

export type { ImageWorkerOptions };

export interface ImageWorker {
  /** Finishes the images in hand and leaves the groups; what was not begun comes again. */
  stop(): Promise<void>;
}

const mediaTopic = "media";

/** What an image worker reads and writes. */
export const imageWorkerTopics: readonly TopicSpec[] = [
  { name: mediaTopic, partitions: partitionCount },
  lane(retryTopic),
  lane(deadLetterTopic),
  ...regenerationTopics,
];

/** Small, so that little is done twice after a kill. */
const maximumBatch = 32;

/**
 * Turns every MediaUploaded into VariantsReady or MediaRejected.
 *
 * A failure that may pass moves the record to the retry lane and, after three retries, to the dead
 * letters, so that it delays no other; an outage of the whole store, for which no file is to blame,
 * holds the lane instead. The record is moved before its offset is committed: killed at any instant,
 * the worker does some of its work twice and none of it never.
 *
 * What was made by another recipe is made again on a lane that gives way to uploads.
 */
export async function startImageWorker(options: ImageWorkerOptions): Promise<ImageWorker> {
  const { log, logger, now, sleep = pause, concurrency = 2 } = options;
  await log.ensureTopics(imageWorkerTopics);
  const onError = (error: unknown) => {
    if (error instanceof Error && error.name === "AbortError") return;
    logger.error("the image worker stumbled and tries again", { error });
  };
  let inHand = 0;
  const uploads = await log.consume({
    group: "image-worker",
    topics: [mediaTopic],
    maximumBatch,
    handle: async (records, signal) => {
      const uploads = records.filter(isUpload);
      inHand += uploads.length;
      try {
        await whileInHand(
          uploads,
          () => inParallel(records, concurrency, signal, (record) => attempt(record, options)),
        );
      } finally {
        inHand -= uploads.length;
      }
    },
    onError,
  });
  const retries = await log.consume({
    group: "image-worker-retries",
    topics: [retryTopic],
    maximumBatch,
    handle: (records, signal) => {
      const start = now();
      const byDue = records.toSorted((a, b) => dueIn(a, start) - dueIn(b, start));
      return inParallel(byDue, concurrency, signal, async (record) => {
        await sleep(dueIn(record, now()), signal);
        await attempt(record, options);
      });
    },
    onError,
  });
  const regenerations = await startRegenerations({ ...options, onError, busy: () => inHand > 0 });
  return {
    async stop() {
      await Promise.all([uploads.stop(), retries.stop(), regenerations.stop()]);
    },
  };
}

async function attempt(record: LogRecord, options: ImageWorkerOptions): Promise<void> {
  const upload = await readUpload(record, options);
  if (!upload) return;
  await tracedRecord("image-worker", record, () => attemptUpload(upload, record, options));
}

async function attemptUpload(
  upload: EventOf<typeof MediaUploaded>,
  record: LogRecord,
  options: ImageWorkerOptions,
): Promise<void> {
  const { log, store, processor, logger } = options;
  const fields = { mediaId: upload.data.mediaId, attempt: attemptAt(record) };
  const stopTimer = attemptSeconds.startTimer();
  try {
    const events = await makeVariants(upload.data, processor.recipe, store, processor, {
      now: options.now().toISOString(),
      nextId: options.newId,
    });
    await log.append(await encoded(events, record));
    const [event] = events;
    const outcome = !event ? "gone" : event.type === "MediaRejected" ? "rejected" : "processed";
    attempts.inc({ outcome });
    if (outcome === "processed") {
      variantsSeconds.observe((options.now().getTime() - Date.parse(upload.time)) / 1000);
    }
    logger.info(`medium ${outcome}`, {
      ...fields,
      ...(event?.type === "MediaRejected" && { reason: event.data.reason }),
    });
  } catch (error) {
    if (error instanceof StoreUnavailable && !await answers(store)) throw error;
    noteFailure(error);
    await move(afterFailure(record, error, options.now()), error, options, fields);
  } finally {
    stopTimer();
  }
}

/** By its header: whether it can be read is found out when its turn comes. */
function isUpload({ headers }: LogRecord): boolean {
  return headers.ce_type?.includes(".MediaUploaded.") ?? false;
}

/** Undefined for events of other types, and for records that cannot be read: dead letters. */
async function readUpload(
  record: LogRecord,
  options: ImageWorkerOptions,
): Promise<EventOf<typeof MediaUploaded> | undefined> {
  try {
    const event = await decodeEvent({ ...record, topic: mediaTopic }, noText);
    return event.type === "MediaUploaded" ? event : undefined;
  } catch (error) {
    if (!(error instanceof UnreadableEvent)) throw error;
    const { topic, partition, offset } = record;
    await move(deadLetter(record, error), error, options, { topic, partition, offset });
  }
}

async function move(
  moved: NewRecord,
  error: unknown,
  { log, logger }: ImageWorkerOptions,
  fields: Record<string, unknown>,
): Promise<void> {
  await log.append([moved]);
  const dead = moved.topic === deadLetterTopic;
  attempts.inc({ outcome: dead ? "dead" : "failed" });
  if (dead) logger.error("medium given up", { ...fields, error });
  else logger.warn("medium to be retried", { ...fields, error });
}

function encoded(events: readonly DomainEvent[], cause: LogRecord): Promise<NewRecord[]> {
  return Promise.all(events.map((event) => encodeEvent(event, noText, carriedOn(cause))));
}

function answers(store: ObjectStore): Promise<boolean> {
  return store.check().then(() => true, () => false);
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal });
}

/** Events about media hold no personal text. */
const noText: TextSealer = {
  seal: () => Promise.reject(new Error("a media event holds personal text")),
  open: () => Promise.reject(new Error("a media event holds personal text")),
};
