import type { EventLog } from "../../../infra/event-log/port.ts";

/** A log within another, under names of topics of its own: tests share the servers they run on. */
export function prefixedLog(log: EventLog, prefix: string): EventLog {
  const into = <T extends { readonly topic: string }>(place: T): T => ({
    ...place,
    topic: prefix + place.topic,
  });
  const outOf = <T extends { readonly topic: string }>(place: T): T => ({
    ...place,
    topic: place.topic.slice(prefix.length),
  });
  return {
    ensureTopics: (topics) =>
      log.ensureTopics(topics.map((topic) => ({ ...topic, name: prefix + topic.name }))),
    inspectTopics: async (topics) => {
      const specs = topics.map((topic) => ({ ...topic, name: prefix + topic.name }));
      return (await log.inspectTopics(specs)).map(outOf);
    },
    append: async (records) => (await log.append(records.map(into))).map(outOf),
    async *read(partition, from, options) {
      for await (const batch of log.read(into(partition), from, options)) yield batch.map(outOf);
    },
    watermarks: async (topics) =>
      (await log.watermarks(topics.map((topic) => prefix + topic))).map(outOf),
    consume: ({ startAt, handle, onAssigned, ...options }) =>
      log.consume({
        ...options,
        group: prefix + options.group,
        topics: options.topics.map((topic) => prefix + topic),
        ...(startAt && { startAt: (partitions) => startAt(partitions.map(outOf)) }),
        ...(onAssigned && { onAssigned: (partitions) => onAssigned(partitions.map(outOf)) }),
        handle: (records, signal) => handle(records.map(outOf), signal),
      }),
    close: () => log.close(),
  };
}
