import type { FollowEvent } from "../../domain/follow.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { KeyMemory } from "../runner/key-memory.ts";
import type { Counts } from "./counts.ts";
import { applyMemberships, deltaOf, type Membership, type MembershipTable } from "./membership.ts";
import type { SeenEvents } from "./seen-events.ts";

const followsTable: MembershipTable = {
  table: "read_model.follows",
  left: "follower_id",
  right: "followee_id",
  event: "follow_id",
};

const blocksTable: MembershipTable = {
  table: "read_model.blocks",
  left: "blocker_id",
  right: "blocked_id",
  event: "block_id",
};

export async function applyFollows(
  events: readonly FollowEvent[],
  transaction: SqlTransaction,
  seen: SeenEvents,
  counts: Counts,
  memory?: KeyMemory,
): Promise<void> {
  const follows: Membership[] = [];
  const blocks: Membership[] = [];
  for (const { id: eventId, type, data } of events) {
    if ("followerId" in data) {
      const adds = type === "AccountFollowed";
      follows.push({ eventId, left: data.followerId, right: data.followeeId, adds });
    } else {
      const adds = type === "AccountBlocked";
      blocks.push({ eventId, left: data.blockerId, right: data.blockedId, adds });
    }
  }
  for (const change of await applyMemberships(followsTable, follows, transaction, seen, memory)) {
    counts.accounts.add(change.left, "following_count", deltaOf(change));
    counts.accounts.add(change.right, "follower_count", deltaOf(change));
  }
  await applyMemberships(blocksTable, blocks, transaction, seen, memory);
}
