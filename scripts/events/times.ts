import { Refused } from "../client/terminal.ts";

/** A time as people type it, in milliseconds since the epoch. A date alone is its first instant, in UTC. */
export function parseTime(text: string, option: string): number {
  const withZone = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d))?$/i.test(
    text,
  );
  const time = Date.parse(text);
  if (withZone && !Number.isNaN(time)) return time;
  throw new Refused(
    `${option} takes a time as 2026-11-22T18:00:00Z, or a date as 2026-11-22, not "${text}"`,
  );
}
