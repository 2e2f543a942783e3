import { partitionCount, topics } from "../../domain/event.ts";
import type { EventLog, TopicSpec } from "../../infra/event-log/port.ts";
import { signedUploads } from "../commands/signed-uploads.ts";
import { regenerationTopics } from "../image-worker/regeneration-records.ts";
import { lane } from "../lane-topics.ts";
import { purges } from "./lanes/purges.ts";
import { storeNotifications } from "./lanes/uploads.ts";

export { storeNotifications };

/** Milliseconds: longer than a projector is ever away. What a lane holds is of no use afterwards. */
const laneRetention = 7 * 24 * 60 * 60 * 1000;

/** The facts, and the lanes beside them. */
export const projectorTopics: readonly TopicSpec[] = [
  ...topics.map((name) => ({ name, partitions: partitionCount })),
  ...[signedUploads, storeNotifications, purges].map((name) => lane(name, laneRetention)),
  ...regenerationTopics,
];

export function ensureTopics(log: EventLog): Promise<void> {
  return log.ensureTopics(projectorTopics);
}
