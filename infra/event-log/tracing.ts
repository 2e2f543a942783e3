import { apart, begin, isSampled, traceparent, tracing, type Work } from "../telemetry/tracing.ts";
import type { Appended, LogRecord, NewRecord } from "./port.ts";

/**
 * How a trace passes through the log, by OpenTelemetry's semantic conventions for messaging: an append
 * is a producer's span, whose `traceparent` travels with the event (`ce_traceparent`, CloudEvents'
 * distributed tracing extension); whoever handles the event makes a consumer's span below it. So one
 * trace shows the request, what it appended, and what each reader of the log made of it.
 */
export const traceHeader = "ce_traceparent";

/** Milliseconds after which a record is history: who reads it then replays, and is part of no request. */
const present = 60 * 60 * 1000;

/**
 * Appends records, each in a trace. A record that carries one keeps it: it was decided on in a request
 * that is not under way any more. Any other joins the work this is called in.
 * @param system the log's engine: `kafka`.
 */
export async function tracedAppend(
  system: string,
  records: readonly NewRecord[],
  append: (records: readonly NewRecord[]) => Promise<Appended[]>,
): Promise<Appended[]> {
  if (!tracing || records.length === 0) return await append(records);
  const spans = new Map<string, Work>();
  const placeOf = ({ topic, headers }: NewRecord) => `${topic} ${headers[traceHeader] ?? ""}`;
  for (const [place, together] of Map.groupBy(records, placeOf)) {
    const [first] = together;
    if (!first) continue;
    const parent = first.headers[traceHeader];
    const attributes = {
      "messaging.system": system,
      "messaging.operation.name": "append",
      "messaging.operation.type": "send",
      "messaging.destination.name": first.topic,
      "messaging.batch.message_count": together.length,
      "shutterlog.event.type": [...new Set(together.map(typeOf))].join(","),
      ...(together.length === 1 && { "messaging.kafka.message.key": first.key }),
    };
    spans.set(
      place,
      begin({ name: `append ${first.topic}`, kind: "producer", attributes, parent }),
    );
  }
  const carrying = records.map((record): NewRecord => {
    const own = spans.get(placeOf(record))?.traceparent;
    if (record.headers[traceHeader] !== undefined || own === undefined) return record;
    return { ...record, headers: { ...record.headers, [traceHeader]: own } };
  });
  try {
    const places = await append(carrying);
    records.forEach((record, nth) => {
      const place = places[nth];
      if (!place) return;
      spans.get(placeOf(record))?.set({
        "messaging.destination.partition.id": String(place.partition),
        "messaging.kafka.offset": place.offset,
      });
    });
    for (const span of spans.values()) span.end();
    return places;
  } catch (error) {
    for (const span of spans.values()) span.end(error);
    throw error;
  }
}

/**
 * Handles a batch: in the trace of each of its records it is one span, as long as the whole batch took.
 * @param group the consumer group.
 */
export async function tracedBatch(
  group: string,
  records: readonly LogRecord[],
  handle: () => Promise<void>,
): Promise<void> {
  if (!tracing) return await handle();
  const spans = records.flatMap((record) => {
    const parent = record.headers[traceHeader];
    const told = parent !== undefined && isSampled(parent) && isPresent(record);
    return told ? [begin(handling(group, record, records.length))] : [];
  });
  try {
    // What runs for several traces belongs to none of them.
    const [only] = records.length === 1 ? spans : [];
    await (only ? only.run(handle) : apart(handle));
    for (const span of spans) span.end();
  } catch (error) {
    for (const span of spans) span.end(error);
    throw error;
  }
}

/** Handles one record; what that leads to is of its trace. */
export async function tracedRecord<T>(
  group: string,
  record: LogRecord,
  handle: () => Promise<T>,
): Promise<T> {
  if (!tracing) return await handle();
  const span = begin(handling(group, record, 1));
  try {
    const result = await span.run(handle);
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}

/** What a record that follows from another carries where this process itself does not trace. */
export function carriedOn(cause: LogRecord): string | undefined {
  return traceparent() === undefined ? cause.headers[traceHeader] : undefined;
}

function handling(group: string, record: LogRecord, count: number) {
  const { topic, partition, offset, headers } = record;
  const id = headers.ce_id;
  return {
    name: `process ${topic}`,
    kind: "consumer",
    parent: isPresent(record) ? headers[traceHeader] ?? "" : "",
    attributes: {
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.consumer.group.name": group,
      "messaging.destination.name": topic,
      "messaging.destination.partition.id": String(partition),
      "messaging.kafka.offset": offset,
      "messaging.batch.message_count": count,
      "shutterlog.event.type": typeOf(record),
      ...(id !== undefined && { "messaging.message.id": id }),
    },
  } as const;
}

function isPresent({ timestamp }: LogRecord): boolean {
  return Date.now() - timestamp < present;
}

/** `PostCreated` of `shutterlog.PostCreated.v1`; none for what is not a fact. */
function typeOf({ headers }: NewRecord): string {
  return headers.ce_type?.split(".")[1] ?? "none";
}
