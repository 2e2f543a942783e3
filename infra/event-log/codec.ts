import { catalogue, type DomainEvent } from "../../domain/events.ts";
import { type Event, typeAttribute, UnreadableEvent } from "../../domain/event.ts";
import type { LogRecord, NewRecord } from "./port.ts";

/** Seals and opens personal text under its owner's key. */
export interface TextSealer {
  /** @throws when the owner has no key: a closed account writes nothing any more. */
  seal(ownerId: string, context: string, text: string): Promise<string>;
  /** Null when the owner's key is gone. @throws when the text was tampered with. */
  open(ownerId: string, context: string, sealed: string): Promise<string | null>;
}

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
  const sealed = definition.owner
    ? await mapPersonal(
      data,
      definition.personal ?? [],
      (field, text) => sealer.seal(definition.owner?.(data) ?? "", `${event.id}/${field}`, text),
    )
    : data;
  return {
    topic: definition.topic,
    key,
    value: JSON.stringify(sealed),
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
export async function decodeEvent(
  record: Pick<LogRecord, "topic" | "key" | "value" | "headers">,
  sealer: TextSealer,
): Promise<DomainEvent> {
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
  const opened = await mapPersonal(
    event.data as Record<string, unknown>,
    definition.personal ?? [],
    (field, text) =>
      sealer.open(owner, `${event.id}/${field}`, text).catch((error) => {
        throw error instanceof SealBroken
          ? new UnreadableEvent("invalid-data", `${event.type}: ${field} cannot be opened`)
          : error;
      }),
  );
  return { ...event, data: opened } as DomainEvent;
}

/** The text does not open under its owner's key: it was changed, or belongs to another event. */
export class SealBroken extends Error {
  override readonly name = "SealBroken";
}

/** Maps each personal string; one that is null (removed) or absent stays so. */
async function mapPersonal(
  data: Record<string, unknown>,
  fields: readonly string[],
  map: (field: string, text: string) => Promise<string | null>,
): Promise<Record<string, unknown>> {
  const result = { ...data };
  for (const field of fields) {
    const value = data[field];
    if (typeof value === "string") result[field] = await map(field, value);
    else if (typeof value === "object" && value !== null) {
      const entries = Object.entries(value).map(async ([name, text]) =>
        [name, typeof text === "string" ? await map(`${field}/${name}`, text) : text] as const
      );
      result[field] = Object.fromEntries(await Promise.all(entries));
    }
  }
  return result;
}
