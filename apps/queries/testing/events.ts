import { v7 } from "uuid";
import type { DomainEvent } from "../../../domain/events.ts";

/** The said part of an event: ids and times are given to it by the world. */
export type Said = DomainEvent extends infer E
  ? E extends DomainEvent ? Pick<E, "type" | "data"> : never
  : never;

export const newId = (): string => v7();

export const handleOf = (accountId: string): string => `Ada.${accountId.slice(-12)}`;

export function postCreated(postId: string, authorId: string, mediaIds = [newId()]): Said {
  return {
    type: "PostCreated",
    data: { postId, authorId, mediaIds, caption: "Dawn", altTexts: {} },
  };
}

export function followed(followerId: string, followeeId: string): Said {
  return { type: "AccountFollowed", data: { followerId, followeeId } };
}

export function unfollowed(followerId: string, followeeId: string): Said {
  return { type: "AccountUnfollowed", data: { followerId, followeeId } };
}

/** A block as it is decided: it ends the following both ways. */
export function blocked(blockerId: string, blockedId: string): Said[] {
  return [
    { type: "AccountBlocked", data: { blockerId, blockedId } },
    unfollowed(blockerId, blockedId),
    unfollowed(blockedId, blockerId),
  ];
}
