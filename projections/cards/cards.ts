import { unreachable } from "../../domain/decision.ts";
import { topics } from "../../domain/event.ts";
import type { DomainEvent } from "../../domain/events.ts";
import type { CardCache } from "../../infra/card-cache/port.ts";
import type { LiveSql } from "../runner/live-schemas.ts";
import type { EffectProjection } from "../runner/projection.ts";
import { firstGeneration, generationOf, inGeneration, keyOf } from "./keys.ts";

/**
 * Evicts what an event has changed from the caches of the query edges, once the database has the
 * change: whoever loads it again then loads the new. A batch that comes again evicts again, which
 * costs a reading and no more; so a kill between eviction and checkpoint loses nothing.
 *
 * Shortly after a switch there may be some who still read, and fill, under the generation before it.
 * The pointer is read anew for each batch: whoever goes by a later one reads a version that had all
 * of this batch when it became live. Without `live`, versions never change.
 */
export function createCards(
  { cardCache, live }: { cardCache: CardCache; live?: Pick<LiveSql, "refresh"> },
): EffectProjection {
  return {
    kind: "effect",
    name: "cards",
    version: 1,
    topics,
    after: ["read_model", "manifests"],
    async apply(events) {
      const keys = new Set(events.flatMap(({ event }) => changedBy(event)));
      if (keys.size === 0) return;
      const { generation, recent } = live ? generationOf(await live.refresh()) : firstGeneration;
      const generations = Array.from({ length: recent + 1 }, (_, back) => generation - back);
      await cardCache.evict(
        generations.flatMap((one) => Array.from(keys, (key) => inGeneration(one, key))),
      );
    },
  };
}

/** The keys under which something may be kept that this event makes old. */
export function changedBy(event: DomainEvent): string[] {
  switch (event.type) {
    case "AccountRegistered":
    case "ProfileChanged":
    case "AccountClosed":
      return [keyOf.account(event.data.accountId)];
    case "AccountFollowed":
    case "AccountUnfollowed":
      return [keyOf.relations(event.data.followerId, event.data.followeeId)];
    case "AccountBlocked":
    case "AccountUnblocked": {
      const { blockerId, blockedId } = event.data;
      return [keyOf.relations(blockerId, blockedId), keyOf.relations(blockedId, blockerId)];
    }
    case "MediaUploaded":
    case "VariantsReady":
    case "MediaRejected":
    case "MediaPurged":
      // It may be its owner's avatar: nobody else's, since an avatar is among one's own uploads.
      return [keyOf.medium(event.data.mediaId), keyOf.account(event.data.ownerId)];
    case "PostCreated":
    case "CaptionChanged":
    case "PostDeleted":
    case "CommentAdded":
    case "CommentDeleted":
      return [keyOf.post(event.data.postId)];
    case "PostLiked":
    case "PostUnliked":
      return [
        keyOf.post(event.data.postId),
        keyOf.likes(event.data.accountId, event.data.postId),
      ];
    default:
      return unreachable(event);
  }
}
