import { z } from "zod";

/**
 * The five logs of facts, one per aggregate type. The record key is the aggregate's id, so that
 * everything said about one aggregate is totally ordered within its partition, and nothing else is.
 */
export const topics = ["accounts", "follows", "media", "posts", "engagement"] as const;
export type Topic = typeof topics[number];

/**
 * Partitions of every topic. It never changes: the number decides in which partition a key lies, and
 * so in which order its events are read.
 */
export const partitionCount = 16;

/** One fact: something that happened to one aggregate, in the past tense, never changed afterwards. */
export interface Event<Name extends string = string, Data = unknown> {
  /** UUIDv7. The same fact appended twice carries the same id (at-least-once). */
  readonly id: string;
  readonly type: Name;
  /** When it happened, RFC 3339 in UTC with milliseconds, by the clock of the process that decided it. */
  readonly time: string;
  readonly data: Data;
}

/**
 * Text a person wrote about themselves. It is sealed in the log under its owner's key, and `null`
 * once that key is gone: readers of the log must be ready for both.
 */
export const personalText = z.string().nullable();
export type PersonalText = z.infer<typeof personalText>;

/** Everything the rest of the system must know about one type of event, in one place. */
export interface EventDefinition<
  Name extends string = string,
  Schema extends z.ZodType = z.ZodType,
> {
  readonly name: Name;
  /** The version written today. Older ones are lifted to it by `upcast`. */
  readonly version: number;
  readonly topic: Topic;
  readonly schema: Schema;
  /** The aggregate's id, which is the record key. */
  key(data: z.infer<Schema>): string;
  /** Fields that hold personal text: a string, or a record of strings. Sealed in the log. */
  readonly personal?: readonly string[];
  /** The account whose key seals them. */
  owner?(data: z.infer<Schema>): string;
  /** `upcast[n]` lifts the data of version n to version n + 1. Versions are never dropped. */
  readonly upcast?: Readonly<Record<number, (data: unknown) => unknown>>;
}

export function defineEvent<const Name extends string, Schema extends z.ZodType>(
  definition: EventDefinition<Name, Schema>,
): EventDefinition<Name, Schema> {
  return definition;
}

/** The event that a definition defines. */
export type EventOf<D> = D extends EventDefinition<infer Name, infer Schema>
  ? Event<Name, z.infer<Schema>>
  : never;

/** Why a record cannot be read as an event. The category is stable; the message is for people. */
export class UnreadableEvent extends Error {
  override readonly name = "UnreadableEvent";
  constructor(
    readonly category: "unknown-type" | "unknown-version" | "invalid-data" | "malformed-record",
    message: string,
  ) {
    super(message);
  }
}

/** The CloudEvents `type` attribute: the version is part of it. */
export function typeAttribute(definition: { name: string; version: number }): string {
  return `shutterlog.${definition.name}.v${definition.version}`;
}

const typePattern = /^shutterlog\.([A-Za-z]+)\.v([1-9][0-9]*)$/;

/** A set of event definitions, and the reading of records by them. */
export class EventCatalogue {
  readonly #byName: ReadonlyMap<string, EventDefinition>;

  constructor(readonly definitions: readonly EventDefinition[]) {
    this.#byName = new Map(definitions.map((definition) => [definition.name, definition]));
  }

  /** @throws {UnreadableEvent} for a name that no definition bears. */
  definition(name: string): EventDefinition {
    const definition = this.#byName.get(name);
    if (!definition) throw new UnreadableEvent("unknown-type", `no event is named ${name}`);
    return definition;
  }

  /**
   * Reads an event of any version ever written, lifted to today's.
   * @throws {UnreadableEvent} when type or version is unknown or the data does not fit the schema.
   */
  read(record: { id: string; type: string; time: string; data: unknown }): Event {
    const match = typePattern.exec(record.type);
    if (!match) throw new UnreadableEvent("unknown-type", `type ${record.type} is not one of ours`);
    const [, name = "", digits] = match;
    const definition = this.definition(name);
    let version = Number(digits);
    if (version > definition.version) {
      throw new UnreadableEvent(
        "unknown-version",
        `${name} v${version} is newer than v${definition.version}, the newest this build reads`,
      );
    }
    let data = record.data;
    for (; version < definition.version; version++) {
      const lift = definition.upcast?.[version];
      if (!lift) {
        throw new UnreadableEvent("unknown-version", `${name} v${version} has no upcaster`);
      }
      data = lift(data);
    }
    const parsed = definition.schema.safeParse(data);
    if (!parsed.success) {
      throw new UnreadableEvent("invalid-data", `${name}: ${z.prettifyError(parsed.error)}`);
    }
    return { id: record.id, type: name, time: record.time, data: parsed.data };
  }
}
