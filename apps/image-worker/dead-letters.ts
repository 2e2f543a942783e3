import type { EventLog, LogRecord, NewRecord } from "../../infra/event-log/port.ts";
import { TopicMismatch } from "../../infra/event-log/port.ts";
import { attemptAt, deadLetterTopic, errorOf, firstAttemptAt } from "./retries.ts";

/** What became of a dead letter. */
export type Settlement = "redriven" | "dropped";

const settlesHeader = "shutterlog_settles";

/**
 * The dead letters that nobody has settled, in order. A topic forgets nothing, so what is settled is
 * said by a later record of the same key, and hence of the same partition: it bears the letter's
 * offset. The settlement lies beside the letter and outlives whatever the log outlives.
 */
export async function openLetters(
  log: Pick<EventLog, "read" | "watermarks">,
  signal: AbortSignal,
): Promise<LogRecord[]> {
  const open: LogRecord[] = [];
  for (const { partition, low, high } of await ends(log)) {
    if (low === high) continue;
    const letters = new Map<number, LogRecord>();
    for await (const batch of log.read({ topic: deadLetterTopic, partition }, 0, { signal })) {
      for (const record of batch) {
        const settled = record.headers[settlesHeader];
        if (settled === undefined) letters.set(record.offset, record);
        else letters.delete(Number(settled));
      }
    }
    open.push(...letters.values());
  }
  return open;
}

/** None before the first image worker has made the topic. */
async function ends(log: Pick<EventLog, "watermarks">) {
  try {
    return await log.watermarks([deadLetterTopic]);
  } catch (error) {
    if (error instanceof TopicMismatch) return [];
    throw error;
  }
}

/** Why it was given up, the error's name apart. */
export function reasonOf(letter: LogRecord): { category: string; message: string } {
  const [, category = "failed", message = ""] = /^([A-Za-z]+): (.*)$/s.exec(errorOf(letter)) ??
    [undefined, "failed", errorOf(letter)];
  const attempts = attemptAt(letter) - 1;
  return { category, message: attempts > 1 ? `${message} (after ${attempts} attempts)` : message };
}

/**
 * Gives a letter its four attempts again, and settles it. Killed in between, it is still open: what is
 * redriven twice is made twice, with the same outcome.
 */
export async function redriveLetter(
  log: Pick<EventLog, "append">,
  letter: LogRecord,
): Promise<void> {
  await log.append([firstAttemptAt(letter)]);
  await settle(log, letter, "redriven");
}

export async function settle(
  log: Pick<EventLog, "append">,
  { key, offset }: LogRecord,
  settlement: Settlement,
): Promise<void> {
  const record: NewRecord = {
    topic: deadLetterTopic,
    key,
    value: JSON.stringify({ settlement }),
    headers: { [settlesHeader]: String(offset) },
  };
  await log.append([record]);
}
