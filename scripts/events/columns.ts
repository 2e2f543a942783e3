import { z } from "zod";
import type { EventDefinition } from "../../domain/event.ts";
import { catalogue, type DomainEvent } from "../../domain/events.ts";
import { id } from "../../domain/values.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";

/**
 * A type of event as a table: what every event has, then the fields of its data, in snake case, with
 * the types that its zod schema says. So a new event, or field, is exported without a word here.
 */
export interface EventTable {
  readonly type: string;
  readonly columns: readonly Column[];
  /** Of these, the fields that may be left out. */
  readonly optional: readonly string[];
  /** The column with the aggregate's id, which is the record's key. */
  readonly key: string;
  /** The columns that hold personal text, and that with the account it is sealed under. */
  readonly personal: readonly string[];
  readonly owner: string | undefined;
}

export interface Column {
  readonly name: string;
  /** As DuckDB calls it. */
  readonly type: string;
}

/** The part of JSON Schema that the events' schemas use. */
interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | false;
  readonly required?: readonly string[];
}

/** `time` is in UTC; `"offset"` is a word of SQL and wants its quotes. */
const common: readonly Column[] = [
  { name: "id", type: "UUID" },
  { name: "time", type: "TIMESTAMP" },
  { name: "topic", type: "VARCHAR" },
  { name: "partition", type: "SMALLINT" },
  { name: "offset", type: "BIGINT" },
];

/**
 * Where fields may be left out, this column names those that were not: a field that is NULL was
 * removed, or set to nothing, if it is named here, and else not said.
 */
const present: Column = { name: "present", type: "VARCHAR[]" };

/** By which ids are told from other strings. */
const idSchema = JSON.stringify({ ...z.toJSONSchema(id), $schema: undefined });

/** In the catalogue's order. */
export const eventTables: readonly EventTable[] = catalogue.definitions.map(tableOf);

function tableOf(definition: EventDefinition): EventTable {
  const { properties = {}, required = [] } = z.toJSONSchema(definition.schema) as JsonSchema;
  const fields = Object.entries(properties);
  const optional = fields.map(([name]) => name).filter((name) => !required.includes(name));
  return {
    type: definition.name,
    columns: [
      ...common,
      ...fields.map(([name, schema]) => ({ name: snakeCase(name), type: columnType(schema) })),
      ...(optional.length > 0 ? [present] : []),
    ],
    optional: optional.map(snakeCase),
    key: fieldReadBy(definition.key),
    personal: (definition.personal ?? []).map(snakeCase),
    owner: definition.owner && fieldReadBy(definition.owner),
  };
}

/** The name of the one field that `read` looks at, as a column. */
function fieldReadBy(read: (data: never) => string): string {
  const names = new Proxy({}, { get: (_, name) => String(name) });
  return snakeCase(read(names as never));
}

function columnType(schema: JsonSchema): string {
  if (JSON.stringify(schema) === idSchema) return "UUID";
  const [one] = schema.anyOf ?? [];
  if (one) return columnType(one);
  const type = typeof schema.type === "string" ? schema.type : schema.type?.[0];
  switch (type) {
    case "string":
      return "VARCHAR";
    case "integer":
      return "BIGINT";
    case "array":
      return `${columnType(schema.items ?? {})}[]`;
    case "object": {
      if (schema.additionalProperties) {
        return `MAP(VARCHAR, ${columnType(schema.additionalProperties)})`;
      }
      const fields = Object.entries(schema.properties ?? {})
        .map(([name, field]) => `${snakeCase(name)} ${columnType(field)}`);
      return `STRUCT(${fields.join(", ")})`;
    }
    default:
      throw new Error(`no column holds ${JSON.stringify(schema)}: teach columns.ts`);
  }
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const tableByType = new Map(eventTables.map((table) => [table.type, table]));

export function tableFor(type: string): EventTable {
  const table = tableByType.get(type);
  if (!table) throw new Error(`no event is named ${type}`);
  return table;
}

/** An event as a row of its table, in JSON. */
export function toRow(event: DomainEvent, { topic, partition, offset }: LogRecord): string {
  const { columns, optional } = tableFor(event.type);
  const row: Record<string, unknown> = { id: event.id, time: event.time, topic, partition, offset };
  const said: string[] = [];
  for (const [field, value] of Object.entries(event.data)) {
    if (value === undefined) continue;
    const column = snakeCase(field);
    if (optional.includes(column)) said.push(column);
    row[column] = columns.find(({ name }) => name === column)?.type.startsWith("STRUCT")
      ? inSnakeCase(value)
      : value;
  }
  if (optional.length > 0) row.present = said;
  return JSON.stringify(row);
}

/** Of names that a schema gives; the keys of a map are data, and stay as they are. */
function inSnakeCase(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [snakeCase(name), inSnakeCase(inner)]),
  );
}
