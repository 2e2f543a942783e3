import { setTimeout as delay } from "node:timers/promises";
import type { MediaEvent } from "../../domain/media.ts";
import { originalKey } from "../../domain/media.ts";
import { encodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import type { Consumption } from "../../infra/event-log/port.ts";
import { StoreUnavailable } from "../../infra/object-store/port.ts";
import { makeVariants } from "./medium.ts";
import {
  type RegenerationOutcome,
  regenerationRecord,
  type RegenerationRequest,
  regenerations,
  requestOf,
  retirementRecord,
} from "./regeneration-records.ts";
import type { ImageWorkerOptions } from "./options.ts";

/** Small, so that little is done twice after a kill. */
const maximumBatch = 8;
/** Milliseconds before the second and third attempt at one medium. */
const backOff = [1_000, 5_000] as const;
/** Milliseconds that a medium gives way to uploads, at most: they must not stop it for ever. */
const givesWayFor = 10_000;

/**
 * Makes variants again, one medium at a time in each process, on a lane of its own: more image workers
 * do it faster, and a worker with uploads in hand gives way to them. The outcome is appended after the
 * event and before the offset is committed, so a kill in between repeats the medium, to the same keys.
 *
 * An original that the recipe can do nothing with is no longer news to anybody: no MediaRejected is
 * appended, and the medium keeps the variants it has.
 */
export async function startRegenerations(
  options: ImageWorkerOptions & { busy(): boolean; onError(error: unknown): void },
): Promise<Consumption> {
  const { log, logger, sleep = pause, busy, onError } = options;
  return await log.consume({
    group: "image-worker-regenerations",
    topics: [regenerations],
    maximumBatch,
    onError,
    async handle(records, signal) {
      for (const record of records) {
        const request = requestOf(record);
        if (!request) continue;
        for (let waited = 0; busy() && waited < givesWayFor; waited += 50) {
          await sleep(50, signal);
        }
        signal.throwIfAborted();
        const outcome = await regenerate(request, options, signal);
        const { mediaId, ownerId, recipe } = request;
        await log.append([regenerationRecord({ ...outcome, mediaId, ownerId, recipe })]);
        logger.info(`medium made again: ${outcome.outcome}`, { mediaId, recipe });
      }
    },
  });
}

type Outcome = Pick<RegenerationOutcome, "outcome" | "detail">;

async function regenerate(
  { mediaId, ownerId, recipe }: RegenerationRequest,
  { log, store, processor, now, newId, logger, sleep = pause }: ImageWorkerOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const original = { mediaId, ownerId, objectKey: originalKey(ownerId, mediaId) };
  const context = { now: now().toISOString(), nextId: newId };
  for (let attempt = 0;; attempt++) {
    let event: MediaEvent | undefined;
    try {
      [event] = await makeVariants(original, recipe, store, processor, context);
    } catch (error) {
      const down = error instanceof StoreUnavailable && !await store.check().then(
        () => true,
        () => false,
      );
      if (down) throw error;
      logger.warn("a medium could not be made again", { mediaId, recipe, error });
      const wait = backOff[attempt];
      if (wait === undefined) return { outcome: "failed", detail: String(error).slice(0, 1_000) };
      await sleep(wait, signal);
      continue;
    }
    if (!event) return { outcome: "gone" };
    if (event.type === "MediaRejected") return { outcome: "rejected", detail: event.data.detail };
    const [at] = await log.append([await encodeEvent(event, noText)]);
    if (!at) throw new Error("the log does not say where it has put an event");
    await log.append([retirementRecord({ mediaId, ownerId, at })]);
    return { outcome: "made" };
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal });
}

/** Events about media hold no personal text. */
const noText: TextSealer = {
  seal: () => Promise.reject(new Error("a media event holds personal text")),
  open: () => Promise.reject(new Error("a media event holds personal text")),
};
