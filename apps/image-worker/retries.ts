import type { LogRecord, NewRecord } from "../../infra/event-log/port.ts";

/** Attempts that failed and are to be repeated once their time has come. */
export const retryTopic = "media-retries";
/** What failed for good, or cannot be read. Kept until someone looks: see `dead-letters.ts`. */
export const deadLetterTopic = "media-dead-letters";

/** Milliseconds before the second, third and fourth attempt. */
export const backOff = [1_000, 5_000, 25_000] as const;

const attemptHeader = "shutterlog_attempt";
const notBeforeHeader = "shutterlog_not_before";
const errorHeader = "shutterlog_error";

/** Which attempt at this record comes next: 1 for one that comes from its own topic. */
export function attemptAt(record: LogRecord): number {
  return Number(record.headers[attemptHeader] ?? 0) + 1;
}

/** Milliseconds from `now` until the record may be tried again. */
export function dueIn(record: LogRecord, now: Date): number {
  const notBefore = Date.parse(record.headers[notBeforeHeader] ?? "");
  return Number.isNaN(notBefore) ? 0 : Math.max(0, notBefore - now.getTime());
}

/** The record as it goes on after a failed attempt: to the retry lane, or to the dead letters. */
export function afterFailure(record: LogRecord, error: unknown, now: Date): NewRecord {
  const attempt = attemptAt(record);
  const delay = backOff[attempt - 1];
  if (delay === undefined) return deadLetter(record, error);
  const notBefore = new Date(now.getTime() + delay).toISOString();
  return moved(record, retryTopic, error, { [notBeforeHeader]: notBefore });
}

export function deadLetter(record: LogRecord, error: unknown): NewRecord {
  return moved(record, deadLetterTopic, error, {});
}

/** A dead letter as it goes to the retry lane, its attempts before it again. */
export function firstAttemptAt(letter: LogRecord): NewRecord {
  const { key, value, headers: all } = letter;
  const { [attemptHeader]: _, [errorHeader]: __, [notBeforeHeader]: ___, ...headers } = all;
  return { topic: retryTopic, key, value, headers };
}

/** What the last attempt failed with. */
export function errorOf(record: LogRecord): string {
  return record.headers[errorHeader] ?? "";
}

function moved(
  record: LogRecord,
  topic: string,
  error: unknown,
  more: Record<string, string>,
): NewRecord {
  const { [notBeforeHeader]: _, ...headers } = record.headers;
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    topic,
    key: record.key,
    value: record.value,
    headers: {
      ...headers,
      [attemptHeader]: String(attemptAt(record)),
      [errorHeader]: reason.slice(0, 1_000),
      ...more,
    },
  };
}
