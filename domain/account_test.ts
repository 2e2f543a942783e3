import assert from "node:assert/strict";
import { accountDecider, profileChange } from "./account.ts";
import { given, idOf } from "./given_when_then.ts";

const accountId = idOf(1);
const registered = {
  type: "AccountRegistered",
  data: { accountId, handle: "Ada", displayName: "Ada L." },
} as const;
const closed = { type: "AccountClosed", data: { accountId } } as const;

Deno.test("account: registering says the handle as written", () => {
  given(accountDecider)
    .when({ type: "Register", accountId, handle: "Ada", displayName: "Ada L." })
    .then(registered);
});

Deno.test("account: registering without a display name says none", () => {
  given(accountDecider)
    .when({ type: "Register", accountId, handle: "Ada" })
    .then({ type: "AccountRegistered", data: { accountId, handle: "Ada" } });
});

Deno.test("account: a profile change says only what changed", () => {
  given(accountDecider, registered)
    .when({ type: "ChangeProfile", accountId, change: { bio: "Hi" }, avatarUploaded: false })
    .then({ type: "ProfileChanged", data: { accountId, bio: "Hi" } });
});

Deno.test("account: an avatar must be there, taking it away needs nothing", () => {
  const change = (avatarMediaId: string | null, avatarUploaded: boolean) =>
    given(accountDecider, registered).when({
      type: "ChangeProfile",
      accountId,
      change: { avatarMediaId },
      avatarUploaded,
    });
  change(idOf(2), false).thenRefused("media-not-uploaded");
  change(idOf(2), true)
    .then({ type: "ProfileChanged", data: { accountId, avatarMediaId: idOf(2) } });
  change(null, false).then({ type: "ProfileChanged", data: { accountId, avatarMediaId: null } });
});

Deno.test("account: nothing is known of an account that never registered", () => {
  given(accountDecider).when({ type: "Close", accountId }).thenRefused("account-not-found");
  given(accountDecider)
    .when({ type: "ChangeProfile", accountId, change: { bio: "" }, avatarUploaded: false })
    .thenRefused("account-not-found");
});

Deno.test("account: closing is final", () => {
  given(accountDecider, registered).when({ type: "Close", accountId }).then(closed);
  const after = given(accountDecider, registered, closed);
  after.when({ type: "Close", accountId }).thenRefused("account-closed");
  after.when({ type: "Register", accountId, handle: "Ada" }).thenRefused("account-closed");
});

Deno.test("profileChange: refuses a change of nothing and unknown fields", () => {
  assert.equal(profileChange.safeParse({}).success, false);
  assert.equal(profileChange.safeParse({ bio: "x", admin: true }).success, false);
  assert.equal(profileChange.safeParse({ avatarMediaId: null }).success, true);
});
