import type { Context, Decision } from "../../domain/decision.ts";
import { mediaDecider, type MediaEvent, type Medium, originalKey } from "../../domain/media.ts";
import type { ObjectStore } from "../../infra/object-store/port.ts";

/**
 * Decides whether an upload is done by what a HEAD on the store says, whoever asks: its client, the
 * sweeper, or a notification of the store. What broke off and was kept all the same counts as
 * uploaded, as short as it is: the image worker finds it truncated, and says so.
 * @param status of the medium as far as it is known; looked up while the store is asked.
 */
export async function completeUpload(
  { mediaId, ownerId }: { mediaId: string; ownerId: string },
  status: Medium["status"] | Promise<Medium["status"]>,
  store: Pick<ObjectStore, "head">,
  context: Context,
): Promise<Decision<MediaEvent>> {
  const [head, known] = await Promise.all([store.head(originalKey(ownerId, mediaId)), status]);
  const stored = head && { byteLength: head.byteLength, contentType: head.contentType };
  return mediaDecider.decide(
    { type: "CompleteUpload", mediaId, ownerId, stored },
    { status: known },
    context,
  );
}
