import assert from "node:assert/strict";
import { followDecider } from "./follow.ts";
import { given, idOf } from "./given_when_then.ts";

const ada = idOf(1);
const bob = idOf(2);
const asAda = followDecider(ada);

const adaFollows = { type: "AccountFollowed", data: { followerId: ada, followeeId: bob } } as const;
const adaLeaves = {
  type: "AccountUnfollowed",
  data: { followerId: ada, followeeId: bob },
} as const;
const bobFollows = { type: "AccountFollowed", data: { followerId: bob, followeeId: ada } } as const;
const bobLeaves = {
  type: "AccountUnfollowed",
  data: { followerId: bob, followeeId: ada },
} as const;
const adaBlocks = { type: "AccountBlocked", data: { blockerId: ada, blockedId: bob } } as const;
const adaUnblocks = {
  type: "AccountUnblocked",
  data: { blockerId: ada, blockedId: bob },
} as const;
const bobBlocks = { type: "AccountBlocked", data: { blockerId: bob, blockedId: ada } } as const;
const bobUnblocks = {
  type: "AccountUnblocked",
  data: { blockerId: bob, blockedId: ada },
} as const;

const command = (type: "Follow" | "Unfollow" | "Block" | "Unblock", targetId = bob) =>
  ({ type, actorId: ada, targetId }) as const;

Deno.test("follow: a stranger is followed", () => {
  given(asAda).when(command("Follow")).then(adaFollows);
});

Deno.test("follow: what seems to change nothing is recorded all the same", () => {
  given(asAda, adaFollows).when(command("Follow")).then(adaFollows);
  given(asAda).when(command("Unfollow")).then(adaLeaves);
  given(asAda).when(command("Unblock")).then(adaUnblocks);
});

Deno.test("follow: not across a block, whichever side set it", () => {
  given(asAda, bobBlocks).when(command("Follow")).thenRefused("blocked");
  given(asAda, adaBlocks).when(command("Follow")).thenRefused("blocking");
  given(asAda, bobBlocks, bobUnblocks).when(command("Follow")).then(adaFollows);
  given(asAda, adaBlocks, adaUnblocks).when(command("Follow")).then(adaFollows);
});

Deno.test("follow: a block ends the following on both sides, each under its own key", () => {
  given(asAda, adaFollows, bobFollows).when(command("Block")).then(adaBlocks, adaLeaves, bobLeaves);
});

Deno.test("follow: nobody follows or blocks themselves", () => {
  for (const type of ["Follow", "Unfollow", "Block", "Unblock"] as const) {
    given(asAda).when(command(type, ada)).thenRefused("self-relation");
  }
});

Deno.test("follow: state tells the two directions apart", () => {
  assert.deepEqual(given(asAda, adaFollows, bobFollows, adaLeaves, bobBlocks).state, {
    following: false,
    followedBy: true,
    blocking: false,
    blockedBy: true,
  });
});
