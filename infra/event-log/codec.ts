import { catalogue, type DomainEvent } from "../../domain/events.ts";
import { type Event, typeAttribute, UnreadableEvent } from "../../domain/event.ts";
import type { LogRecord, NewRecord } from "./port.ts";

/** Seals and opens personal text under its owner's key. */
export interface TextSealer {
  /** @throws when the owner has no key: a closed account writes nothing any more. */
  seal(ownerId: string, context: string, text: string): Promise<string>;
  /** Null when the owner's key is gone. @throws when the text was tampered with. */
  open(ownerId: string, context: string, sealed: string): Promise<string | null>;
  /** The same at once, where it can be; undefined where the owner's key has to be asked for. */
  openNow?(ownerId: string, context: string, sealed: string): string | null | undefined;
}

/** What an event is read from. */
type Encoded = Pick<LogRecord, "topic" | "key" | "value" | "headers">;

/**
 * Events as CloudEvents 1.0 in the Kafka protocol binding's binary mode: attributes in `ce_` headers,
 * the data as the JSON value (https://github.com/cloudevents/spec, kafka-protocol-binding.md §3.2).
 */
export async function encodeEvent(
  event: DomainEvent,
  sealer: TextSealer,
  traceparent?: string,
): Promise<NewRecord> {
  const definition = catalogue.definition(event.type);
  const data = definition.schema.parse(event.data) as Record<string, unknown>;
  const key = definition.key(data);
  if (definition.owner) {
    const owner = definition.owner(data);
    const sealed: Promise<void>[] = [];
    eachPersonal(
      data,
      definition.personal ?? [],
      (text, { field, put }) =>
        sealed.push(sealer.seal(owner, `${event.id}/${field}`, text).then(put)),
    );
    await Promise.all(sealed);
  }
  return {
    topic: definition.topic,
    key,
    value: JSON.stringify(data),
    headers: {
      "content-type": "application/json; charset=utf-8",
      ce_specversion: "1.0",
      ce_id: event.id,
      ce_source: "/shutterlog",
      ce_type: typeAttribute(definition),
      ce_subject: key,
      ce_time: event.time,
      ...(traceparent !== undefined && { ce_traceparent: traceparent }),
    },
  };
}

/**
 * Reads a record as an event of today's version, its text opened.
 * @throws {UnreadableEvent} when it is not one this build can read.
 */
export async function decodeEvent(record: Encoded, sealer: TextSealer): Promise<DomainEvent> {
  return await decodeSoon(record, sealer);
}

/**
 * The same, and at once unless text of it is sealed under a key that has to be asked for: of
 * thousands of records nearly all are.
 */
export function decodeSoon(
  record: Encoded,
  sealer: TextSealer,
): DomainEvent | Promise<DomainEvent> {
  const { ce_id: id, ce_type: type, ce_time: time, ce_specversion } = record.headers;
  if (ce_specversion !== "1.0" || !id || !type || !time) {
    throw new UnreadableEvent("malformed-record", "not a CloudEvent 1.0 in binary mode");
  }
  let data: unknown;
  try {
    data = JSON.parse(record.value);
  } catch {
    throw new UnreadableEvent("malformed-record", "the value is not JSON");
  }
  const event: Event = catalogue.read({ id, type, time, data });
  const definition = catalogue.definition(event.type);
  if (definition.topic !== record.topic) {
    throw new UnreadableEvent(
      "malformed-record",
      `${event.type} does not belong in ${record.topic}`,
    );
  }
  if (definition.key(event.data) !== record.key) {
    throw new UnreadableEvent("malformed-record", `the key is not the aggregate's id`);
  }
  if (!definition.owner) return event as DomainEvent;
  const owner = definition.owner(event.data);
  const opened: Promise<void>[] = [];
  eachPersonal(event.data as Record<string, unknown>, definition.personal ?? [], (text, at) => {
    const context = `${event.id}/${at.field}`;
    const broken = (error: unknown) =>
      error instanceof SealBroken
        ? new UnreadableEvent("invalid-data", `${event.type}: ${at.field} cannot be opened`)
        : error;
    let now: string | null | undefined;
    try {
      now = sealer.openNow?.(owner, context, text);
    } catch (error) {
      throw broken(error);
    }
    if (now !== undefined) return at.put(now);
    opened.push(
      sealer.open(owner, context, text).then(at.put, (error) => {
        throw broken(error);
      }),
    );
  });
  if (opened.length === 0) return event as DomainEvent;
  return Promise.all(opened).then(() => event as DomainEvent);
}

/** The text does not open under its owner's key: it was changed, or belongs to another event. */
export class SealBroken extends Error {
  override readonly name = "SealBroken";
}

/**
 * Each personal string of data that is nobody else's, with its place, to put another text there; what
 * is null (removed) or absent stays so.
 */
function eachPersonal(
  data: Record<string, unknown>,
  fields: readonly string[],
  take: (text: string, at: { field: string; put(text: string | null): void }) => void,
): void {
  for (const field of fields) {
    const value = data[field];
    if (typeof value === "string") {
      take(value, { field, put: (text) => void (data[field] = text) });
    } else if (typeof value === "object" && value !== null) {
      const texts = value as Record<string, unknown>;
      for (const [name, text] of Object.entries(texts)) {
        if (typeof text !== "string") continue;
        take(text, { field: `${field}/${name}`, put: (text) => void (texts[name] = text) });
      }
    }
  }
}
