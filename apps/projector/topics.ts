import { partitionCount, topics } from "../../domain/event.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { signedUploads } from "../commands/signed-uploads.ts";
import { purges } from "./lanes/purges.ts";
import { storeNotifications } from "./lanes/uploads.ts";

export { storeNotifications };

/** Milliseconds: longer than a projector is ever away. What a lane holds is of no use afterwards. */
const laneRetention = 7 * 24 * 60 * 60 * 1000;

/** The facts, and the lanes beside them. */
export function ensureTopics(log: EventLog): Promise<void> {
  const facts = topics.map((name) => ({ name, partitions: partitionCount }));
  const lanes = [signedUploads, storeNotifications, purges]
    .map((name) => ({ name, partitions: partitionCount, retentionMs: laneRetention }));
  return log.ensureTopics([...facts, ...lanes]);
}
