import { z } from "zod";
import {
  accept,
  type Context,
  type Decider,
  type Decision,
  refuse,
  unreachable,
} from "./decision.ts";
import { defineEvent, type EventOf, personalText } from "./event.ts";
import { accountId, bio, displayName, handle, mediaId } from "./values.ts";

// Events

export const AccountRegistered = defineEvent({
  name: "AccountRegistered",
  version: 1,
  topic: "accounts",
  schema: z.strictObject({
    accountId,
    handle: personalText,
    displayName: personalText.optional(),
  }),
  key: (data) => data.accountId,
  personal: ["handle", "displayName"],
  owner: (data) => data.accountId,
});

/** Only what changed is said; an avatar of `null` was taken away. */
export const ProfileChanged = defineEvent({
  name: "ProfileChanged",
  version: 1,
  topic: "accounts",
  schema: z.strictObject({
    accountId,
    displayName: personalText.optional(),
    bio: personalText.optional(),
    avatarMediaId: mediaId.nullable().optional(),
  }),
  key: (data) => data.accountId,
  personal: ["displayName", "bio"],
  owner: (data) => data.accountId,
});

/** The account is gone for good, and with it the key to all its text. */
export const AccountClosed = defineEvent({
  name: "AccountClosed",
  version: 1,
  topic: "accounts",
  schema: z.strictObject({ accountId }),
  key: (data) => data.accountId,
});

export const accountEvents = [AccountRegistered, ProfileChanged, AccountClosed] as const;
export type AccountEvent = EventOf<typeof accountEvents[number]>;

// State

export type Account =
  | { readonly status: "unknown" }
  | { readonly status: "open"; readonly accountId: string }
  | { readonly status: "closed"; readonly accountId: string };

function evolve(_account: Account, event: AccountEvent): Account {
  switch (event.type) {
    case "AccountRegistered":
    case "ProfileChanged":
      return { status: "open", accountId: event.data.accountId };
    case "AccountClosed":
      return { status: "closed", accountId: event.data.accountId };
    default:
      return unreachable(event);
  }
}

// Decisions

export const registration = z.strictObject({ handle, displayName: displayName.optional() });
export const profileChange = z.strictObject({
  displayName: displayName.optional(),
  bio: bio.optional(),
  avatarMediaId: mediaId.nullable().optional(),
}).refine(
  (change) => Object.values(change).some((value) => value !== undefined),
  "names nothing to change",
);

export type AccountCommand =
  | ({ readonly type: "Register"; readonly accountId: string } & z.infer<typeof registration>)
  | {
    readonly type: "ChangeProfile";
    readonly accountId: string;
    readonly change: z.infer<typeof profileChange>;
    /** Whether the new avatar's original is in the store under this account. */
    readonly avatarUploaded: boolean;
  }
  | { readonly type: "Close"; readonly accountId: string };

/**
 * That a handle belongs to one account is not decided here: a UNIQUE row in the identity store
 * holds it, since nothing in a log can.
 */
function decide(
  command: AccountCommand,
  account: Account,
  context: Context,
): Decision<AccountEvent> {
  const envelope = () => ({ id: context.nextId(), time: context.now });
  if (account.status === "closed") return refuse("account-closed", "this account is closed");
  switch (command.type) {
    case "Register": {
      const { accountId, handle, displayName } = command;
      const data = { accountId, handle, ...(displayName !== undefined && { displayName }) };
      return accept({ ...envelope(), type: "AccountRegistered", data });
    }
    case "ChangeProfile": {
      if (account.status === "unknown") return refuse("account-not-found", "no such account");
      if (command.change.avatarMediaId && !command.avatarUploaded) {
        return refuse("media-not-uploaded", "the avatar is not among your uploads");
      }
      const data = { accountId: command.accountId, ...command.change };
      return accept({ ...envelope(), type: "ProfileChanged", data });
    }
    case "Close":
      if (account.status === "unknown") return refuse("account-not-found", "no such account");
      return accept({
        ...envelope(),
        type: "AccountClosed",
        data: { accountId: command.accountId },
      });
    default:
      return unreachable(command);
  }
}

export const accountDecider: Decider<Account, AccountCommand, AccountEvent> = {
  initialState: { status: "unknown" },
  decide,
  evolve,
};
