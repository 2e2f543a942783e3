import { z } from "zod";
import { type Event, typeAttribute, UnreadableEvent } from "../../domain/event.ts";
import { catalogue, type DomainEvent } from "../../domain/events.ts";
import { id, timestamp } from "../../domain/values.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";

/**
 * An event as a line of a replay: CloudEvents 1.0 in its JSON format
 * (https://github.com/cloudevents/spec, json-format.md), its text opened, `null` where the writer's
 * account is closed. Where it lies in the log is told by the extension attributes `topic`, `partition`
 * and `offset`.
 */
export function toLine(event: DomainEvent, record: LogRecord): string {
  const definition = catalogue.definition(event.type);
  const { topic, partition, offset, key, headers: { ce_traceparent: traceparent } } = record;
  return JSON.stringify({
    specversion: "1.0",
    id: event.id,
    type: typeAttribute(definition),
    source: "/shutterlog",
    subject: key,
    time: event.time,
    datacontenttype: "application/json",
    data: event.data,
    topic,
    partition,
    offset,
    ...(traceparent !== undefined && { traceparent }),
  });
}

const line = z.object({
  specversion: z.literal("1.0"),
  id,
  type: z.string(),
  source: z.literal("/shutterlog"),
  time: timestamp,
  subject: z.string().optional(),
  data: z.unknown(),
  traceparent: z.string().optional(),
});

/** A line that is no event of ours; the message says which line, and what is wrong with it. */
export class BadLine extends Error {
  override readonly name = "BadLine";
  constructor(readonly line: number, why: string) {
    super(`line ${line}: ${why}`);
  }
}

export interface Line {
  /** Counted from 1. */
  readonly number: number;
  readonly event: DomainEvent;
  readonly traceparent?: string;
}

/**
 * Reads a line of a replay, by the schemas the log itself is read by. Events of older versions are
 * lifted to today's. Where it lay in the other log does not matter here.
 * @throws {BadLine}
 */
export function fromLine(text: string, number: number): Line {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BadLine(number, "not JSON");
  }
  const parsed = line.safeParse(json);
  if (!parsed.success) throw new BadLine(number, z.prettifyError(parsed.error));
  const { id, type, time, subject, data, traceparent } = parsed.data;
  let event: Event;
  try {
    event = catalogue.read({ id, type, time, data });
  } catch (error) {
    if (error instanceof UnreadableEvent) throw new BadLine(number, error.message);
    throw error;
  }
  const key = catalogue.definition(event.type).key(event.data);
  if (subject !== undefined && subject !== key) {
    throw new BadLine(number, `the subject is ${subject}, but the data is about ${key}`);
  }
  return { number, event: event as DomainEvent, ...(traceparent !== undefined && { traceparent }) };
}
