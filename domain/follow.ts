import { z } from "zod";
import {
  accept,
  type Context,
  type Decider,
  type Decision,
  refuse,
  unreachable,
} from "./decision.ts";
import { defineEvent, type EventOf } from "./event.ts";
import { accountId } from "./values.ts";

// Events. The key is the account that acts, or whose following changes.

const following = z.strictObject({ followerId: accountId, followeeId: accountId });
const blocking = z.strictObject({ blockerId: accountId, blockedId: accountId });

export const AccountFollowed = defineEvent({
  name: "AccountFollowed",
  version: 1,
  topic: "follows",
  schema: following,
  key: (data) => data.followerId,
});

export const AccountUnfollowed = defineEvent({
  name: "AccountUnfollowed",
  version: 1,
  topic: "follows",
  schema: following,
  key: (data) => data.followerId,
});

export const AccountBlocked = defineEvent({
  name: "AccountBlocked",
  version: 1,
  topic: "follows",
  schema: blocking,
  key: (data) => data.blockerId,
});

export const AccountUnblocked = defineEvent({
  name: "AccountUnblocked",
  version: 1,
  topic: "follows",
  schema: blocking,
  key: (data) => data.blockerId,
});

export const followEvents = [
  AccountFollowed,
  AccountUnfollowed,
  AccountBlocked,
  AccountUnblocked,
] as const;
export type FollowEvent = EventOf<typeof followEvents[number]>;

// State: how one account, the actor, stands to another.

export interface Relation {
  readonly following: boolean;
  readonly followedBy: boolean;
  readonly blocking: boolean;
  readonly blockedBy: boolean;
}

const strangers: Relation = {
  following: false,
  followedBy: false,
  blocking: false,
  blockedBy: false,
};

function evolveAs(actorId: string, relation: Relation, event: FollowEvent): Relation {
  switch (event.type) {
    case "AccountFollowed":
    case "AccountUnfollowed": {
      const follows = event.type === "AccountFollowed";
      return event.data.followerId === actorId
        ? { ...relation, following: follows }
        : { ...relation, followedBy: follows };
    }
    case "AccountBlocked":
    case "AccountUnblocked": {
      const blocks = event.type === "AccountBlocked";
      return event.data.blockerId === actorId
        ? { ...relation, blocking: blocks }
        : { ...relation, blockedBy: blocks };
    }
    default:
      return unreachable(event);
  }
}

// Decisions

export interface FollowCommand {
  readonly type: "Follow" | "Unfollow" | "Block" | "Unblock";
  readonly actorId: string;
  readonly targetId: string;
}

/**
 * Follows and blocks are sets: what is known may lag behind the log, so a command is recorded even
 * when it seems to change nothing. Were it dropped, a follow sent right after an unfollow could be
 * lost to a read model that has not yet seen the unfollow.
 */
function decide(
  command: FollowCommand,
  relation: Relation,
  context: Context,
): Decision<FollowEvent> {
  const { actorId, targetId } = command;
  if (actorId === targetId) {
    return refuse("self-relation", "an account cannot follow or block itself");
  }
  const envelope = () => ({ id: context.nextId(), time: context.now });
  const followed = { followerId: actorId, followeeId: targetId };
  const blocked = { blockerId: actorId, blockedId: targetId };
  switch (command.type) {
    case "Follow":
      if (relation.blockedBy) return refuse("blocked", "this account has blocked you");
      if (relation.blocking) return refuse("blocking", "you block this account: unblock it first");
      return accept({ ...envelope(), type: "AccountFollowed", data: followed });
    case "Unfollow":
      return accept({ ...envelope(), type: "AccountUnfollowed", data: followed });
    case "Block":
      // A block ends the following on both sides. Each side is an event under its own key, so a
      // later unblock does not bring it back, in whatever order the partitions are read.
      return accept(
        { ...envelope(), type: "AccountBlocked", data: blocked },
        { ...envelope(), type: "AccountUnfollowed", data: followed },
        {
          ...envelope(),
          type: "AccountUnfollowed",
          data: { followerId: targetId, followeeId: actorId },
        },
      );
    case "Unblock":
      return accept({ ...envelope(), type: "AccountUnblocked", data: blocked });
    default:
      return unreachable(command.type);
  }
}

/** The decider for one account's standing to others, as that account sees it. */
export function followDecider(actorId: string): Decider<Relation, FollowCommand, FollowEvent> {
  return {
    initialState: strangers,
    decide,
    evolve: (relation, event) => evolveAs(actorId, relation, event),
  };
}
