import { accountEvents } from "./account.ts";
import { engagementEvents } from "./engagement.ts";
import { EventCatalogue, type EventOf } from "./event.ts";
import { followEvents } from "./follow.ts";
import { mediaEvents } from "./media.ts";
import { postEvents } from "./post.ts";

const definitions = [
  ...accountEvents,
  ...followEvents,
  ...mediaEvents,
  ...postEvents,
  ...engagementEvents,
] as const;

/** Every event there is. */
export type DomainEvent = EventOf<typeof definitions[number]>;

/** Every event there is, to read records by. */
export const catalogue = new EventCatalogue(definitions);
