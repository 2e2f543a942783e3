import assert from "node:assert/strict";
import { z } from "zod";
import { schemas } from "./config.ts";

const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));

interface Property {
  readonly default?: unknown;
  readonly description?: string;
}

/** `VARIABLE | default | meaning` of each variable that a schema takes. */
function rowsOf(schema: z.ZodType): string[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input" });
  return Object.entries(properties as Record<string, Property>).map(([name, property]) => {
    const shown = required.includes(name) ? "required" : String(property.default ?? "");
    return `${`\`${name}\``} | ${shown === "*" ? "`*`" : shown} | ${property.description}`;
  });
}

/** Those of the first table below a heading, without the spaces that align them. */
function rowsBelow(heading: string): string[] {
  const section = readme.slice(readme.indexOf(`\n${heading}\n`)).split("\n").slice(2);
  const first = section.findIndex((line) => line.startsWith("| variable"));
  const rest = section.slice(first + 2);
  return rest.slice(0, rest.findIndex((line) => !line.startsWith("|")))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()).join(" | "));
}

for (
  const [name, heading] of [
    ["embedded", "## Running it"],
    ["networked", "## On the engines it is designed for"],
  ] as const
) {
  Deno.test(`README: its table of the ${name} run's variables is the schema's`, () => {
    const expected = rowsOf(schemas[name]);
    assert(expected.every((row) => !row.endsWith("undefined")), "each variable is described");
    assert.deepEqual(rowsBelow(heading), expected);
  });
}
