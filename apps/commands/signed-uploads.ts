import { originalKey } from "../../domain/media.ts";
import type { NewRecord } from "../../infra/event-log/port.ts";

/** Seconds within which an upload must begin. */
export const uploadLifetime = 15 * 60;

/**
 * What was signed: a topic beside the facts, in which a record's value is the key that the original
 * is uploaded to and its timestamp is when it was signed. The sweeper reads it, so that an upload
 * counts although its client never says that it is done.
 */
export const signedUploads = "signed-uploads";

export function signedUpload(upload: { mediaId: string; ownerId: string }): NewRecord {
  const { mediaId, ownerId } = upload;
  return { topic: signedUploads, key: mediaId, value: originalKey(ownerId, mediaId), headers: {} };
}
