import { originalKey } from "../../../domain/media.ts";
import { mediaInUse, mediaOfPost } from "../../../projections/read-model/reads/traces.ts";
import { purge, type PurgeServices } from "../lanes/purges.ts";
import type { Reactor } from "./reactor.ts";

/**
 * When a post is deleted, its photographs leave the store and the edge, unless another live post or
 * the avatar still shows them. Doing it again is harmless: deleting and purging what is gone succeeds.
 */
export function purgeMedia(services: PurgeServices): Reactor {
  const { sql, store } = services;
  return {
    name: "purge-media",
    topics: ["posts", "media"],
    eventTypes: ["PostDeleted", "VariantsReady"],
    async react(event) {
      if (event.type === "PostDeleted") {
        const { postId, authorId: ownerId } = event.data;
        const mediaIds = await mediaOfPost(sql, ownerId, postId);
        const inUse = await mediaInUse(sql, ownerId, mediaIds);
        for (const mediaId of mediaIds) {
          if (!inUse.has(mediaId)) {
            await purge({ mediaId, ownerId, cause: "post-deleted" }, services);
          }
        }
      } else if (event.type === "VariantsReady") {
        // A worker that was at it during the purge wrote its variants afterwards.
        const { mediaId, ownerId } = event.data;
        if (await store.head(originalKey(ownerId, mediaId)) === undefined) {
          await purge({ mediaId, ownerId }, services);
        }
      }
    },
  };
}
