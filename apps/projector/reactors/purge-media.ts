import { mediaDecider, originalKey, variantPrefix } from "../../../domain/media.ts";
import type { ObjectStore } from "../../../infra/object-store/port.ts";
import { mediaInUse, mediaOfPost } from "../../../projections/read-model/reads/traces.ts";
import { appendAll, type Reactor, type ReactorServices } from "./reactor.ts";

export interface PurgeServices extends ReactorServices {
  readonly store: ObjectStore;
}

/**
 * When a post is deleted, its photographs leave the store and the edge, unless another live post or
 * the avatar still shows them, and that is recorded as MediaPurged. Objects first, event second: a
 * kill in between does it again, and deleting what is gone succeeds.
 */
export function purgeMedia(services: PurgeServices): Reactor {
  const { sql } = services;
  return {
    name: "purge-media",
    topics: ["posts", "media"],
    eventTypes: ["PostDeleted", "VariantsReady"],
    async react(event) {
      if (event.type === "PostDeleted") {
        const { postId, authorId } = event.data;
        const mediaIds = await mediaOfPost(sql, authorId, postId);
        const inUse = await mediaInUse(sql, authorId, mediaIds);
        for (const mediaId of mediaIds) {
          if (!inUse.has(mediaId)) await purge(mediaId, authorId, "post-deleted", services);
        }
      } else if (event.type === "VariantsReady") {
        // A worker that was at it during the purge wrote its variants afterwards.
        const { mediaId, ownerId } = event.data;
        if (await services.store.head(originalKey(ownerId, mediaId)) === undefined) {
          await removeVariants(mediaId, services.store);
        }
      }
    },
  };
}

export async function purge(
  mediaId: string,
  ownerId: string,
  cause: "post-deleted" | "account-closed",
  services: PurgeServices,
): Promise<void> {
  await services.store.delete([originalKey(ownerId, mediaId)]);
  await removeVariants(mediaId, services.store);
  const decision = mediaDecider.decide(
    { type: "RecordPurge", mediaId, ownerId, cause },
    mediaDecider.initialState,
    { now: services.now().toISOString(), nextId: services.newId },
  );
  if (decision.ok) await appendAll(decision.events, services);
}

async function removeVariants(mediaId: string, store: ObjectStore): Promise<void> {
  const keys = [];
  for await (const { key } of store.list(variantPrefix(mediaId))) keys.push(key);
  await store.delete(keys);
}
