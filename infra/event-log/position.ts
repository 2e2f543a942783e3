import type { Appended } from "./port.ts";

/** Places in the log that a client has caused, to be waited for by its next read. */
export type Position = readonly Appended[];

const pattern = /^([a-z][a-z-]*):(\d{1,5}):(\d{1,15})$/;

/** At most this many places in one `Await-Position`: more than all partitions of all topics, 80. */
export const maximumPlaces = 128;

/** The value of a `Position` header: `topic:partition:offset`, comma-separated, highest only. */
export function formatPosition(appended: readonly Appended[]): string {
  const highest = new Map<string, number>();
  for (const { topic, partition, offset } of appended) {
    const place = `${topic}:${partition}`;
    highest.set(place, Math.max(offset, highest.get(place) ?? 0));
  }
  return [...highest].map(([place, offset]) => `${place}:${offset}`).join(",");
}

/** Reads a `Position` header back; undefined when it is not one. */
export function parsePosition(header: string): Position | undefined {
  const places = header.split(",").map((part) => part.trim()).filter((part) => part !== "");
  if (places.length > maximumPlaces) return undefined;
  const position: Appended[] = [];
  for (const place of places) {
    const match = pattern.exec(place);
    if (!match) return undefined;
    const [, topic = "", partition, offset] = match;
    position.push({ topic, partition: Number(partition), offset: Number(offset) });
  }
  return position;
}
