import { Counter } from "prom-client";
import { z } from "zod";
import { type MediaEvent, parseOriginalKey } from "../../../domain/media.ts";
import type { LogRecord } from "../../../infra/event-log/port.ts";
import { metrics } from "../../../infra/telemetry/metrics.ts";
import { closedAmong } from "../../../projections/read-model/reads/accounts.ts";
import { knownMedia } from "../../../projections/read-model/reads/media.ts";
import { completeUpload } from "../../commands/completion.ts";
import { signedKeys, signedUploads, uploadLifetime } from "../../commands/signed-uploads.ts";
import { inParallel } from "../../in-parallel.ts";
import { appendAll } from "../reactors/reactor.ts";
import type { Lane } from "./lane.ts";
import { purge, type PurgeServices } from "./purges.ts";

/** HEADs under way at a time. */
const concurrency = 16;
/** Milliseconds that an upload may take which began as its signature expired: 50 MiB at 1 Mbit/s. */
const longestUpload = 10 * 60 * 1000;
/** Milliseconds after its signature within which an upload can still begin, or be under way. */
export const uploadWindow = uploadLifetime * 1000 + longestUpload;
/** Milliseconds in which a client says itself that its upload is done. */
const clientsTurn = 10_000;

/**
 * Uploads whose clients never said that they were done: what was signed, can no longer be uploaded and
 * has no event is looked for in the store.
 *
 * That the store is asked for what was signed, and never for what it holds, is what keeps this cheap:
 * original keys begin with their owner's id, so no listing is in the order of time, and one of
 * everything would grow with the bucket. Of 5,000 uploads a second the keys take 430 kB/s of the log, in
 * a few hundred records; a visit per partition and minute reads those that have become due; a query
 * for thousands says which have events; only the others, whose clients broke down, cost a HEAD each.
 */
export function signedUploadLane(services: PurgeServices): Lane {
  return {
    topic: signedUploads,
    delayMs: uploadWindow,
    intervalMs: 60_000,
    batchSize: 50,
    handle: (records, signal) => sweep("signature", records.flatMap(signedKeys), services, signal),
  };
}

/** Where a store that can says what was put into it. Beside the facts, in S3's own words. */
export const storeNotifications = "store-notifications";

/**
 * The same, minutes earlier, where the store sends notifications. They may get lost, so nothing rests
 * on them. They wait a little: told at once, each upload would be resized twice, for the client's word
 * and the store's.
 */
export function notificationLane(services: PurgeServices): Lane {
  return {
    topic: storeNotifications,
    delayMs: clientsTurn,
    intervalMs: 5_000,
    batchSize: 500,
    handle: (records, signal) =>
      sweep("notification", records.flatMap(createdKeys), services, signal),
  };
}

/**
 * Keys of the objects that a notification says were created. Amazon writes keys as in a form's
 * query string, which leaves ours as they are, and `ObjectCreated:Put`; versitygw begins it with `s3:`.
 */
export function createdKeys({ value }: Pick<LogRecord, "value">): string[] {
  let notification: unknown;
  try {
    notification = JSON.parse(value);
  } catch {
    return [];
  }
  const { data } = s3Notification.safeParse(notification);
  return data?.Records
    .filter(({ eventName }) => /^(s3:)?ObjectCreated:/.test(eventName))
    .map(({ s3 }) => s3.object.key) ?? [];
}

const s3Notification = z.object({
  Records: z.array(z.object({
    eventName: z.string(),
    s3: z.object({ object: z.object({ key: z.string() }) }),
  })),
});

type Source = "signature" | "notification";

/**
 * - `completed`: MediaUploaded was appended.
 * - `absent`: the store holds nothing under this key.
 * - `purged`: its account was closed meanwhile.
 */
const sweptUploads = new Counter<"source" | "outcome">({
  name: "shutterlog_swept_uploads_total",
  help: "Uploads without an event that the store was asked about, by what became of them.",
  labelNames: ["source", "outcome"],
  registers: [metrics],
});

/**
 * Appends MediaUploaded for those of these keys that hold an upload which has no event yet. Two at the
 * same upload both append, which changes nothing more than one.
 * @throws while the projections have not seen what the log holds: an upload that they do not know yet
 * would be announced again, and after their loss every one there ever was.
 */
async function sweep(
  source: Source,
  keys: readonly string[],
  services: PurgeServices,
  signal: AbortSignal,
): Promise<void> {
  const { log, sql, store, progress, now, newId, logger } = services;
  const uploads = new Map(keys.flatMap((key) => {
    const upload = parseOriginalKey(key);
    return upload ? [[upload.mediaId, upload] as const] : [];
  }));
  if (uploads.size === 0) return;
  const ends = (await log.watermarks(["accounts", "media"])).filter(({ high }) => high > 0)
    .map(({ topic, partition, high }) => ({ topic, partition, offset: high - 1 }));
  if (!await progress.reached(ends, ["manifests", "read_model"], projectionsTurn)) {
    throw new Error("uploads are swept once the projections have caught up with the log");
  }
  for (const mediaId of await knownMedia(sql, [...uploads.keys()])) uploads.delete(mediaId);
  const owners = new Set([...uploads.values()].map(({ ownerId }) => ownerId));
  const closed = await closedAmong(sql, [...owners]);

  const swept: { mediaId: string; outcome: "completed" | "absent" | "purged" }[] = [];
  const completed: MediaEvent[] = [];
  await inParallel([...uploads.values()], concurrency, signal, async (upload) => {
    const context = { now: now().toISOString(), nextId: newId };
    const decision = await completeUpload(upload, "unknown", store, context);
    const gone = closed.has(upload.ownerId);
    const outcome = !decision.ok ? "absent" : gone ? "purged" : "completed";
    if (outcome === "purged") await purge({ ...upload, cause: "account-closed" }, services);
    else if (decision.ok) completed.push(...decision.events);
    swept.push({ mediaId: upload.mediaId, outcome });
  });
  await appendAll(completed, services);
  for (const { mediaId, outcome } of swept) {
    sweptUploads.inc({ source, outcome });
    const log = outcome === "absent" ? logger.debug : logger.info;
    log(`swept upload ${outcome}`, { mediaId, source });
  }
}

/** Milliseconds that a visit waits for the projections. */
const projectionsTurn = 5_000;
