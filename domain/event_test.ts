import assert from "node:assert/strict";
import { z } from "zod";
import { defineEvent, EventCatalogue, typeAttribute, UnreadableEvent } from "./event.ts";
import { catalogue } from "./events.ts";
import { idOf, now } from "./given_when_then.ts";

// An event with a history of its own: v1 said a name, v2 split it, v3 made the family name optional.
const Named = defineEvent({
  name: "Named",
  version: 3,
  topic: "accounts",
  schema: z.strictObject({
    accountId: z.string(),
    given: z.string(),
    family: z.string().optional(),
  }),
  key: (data) => data.accountId,
  upcast: {
    1: (data) => {
      const { accountId, name } = z.object({ accountId: z.string(), name: z.string() }).parse(data);
      const [given = "", family = ""] = name.split(" ");
      return { accountId, given, family };
    },
    2: (data) => {
      const { family, ...rest } = z.object({ family: z.string() }).loose().parse(data);
      return family === "" ? rest : { ...rest, family };
    },
  },
});

const named = new EventCatalogue([Named]);
const read = (type: string, data: unknown) => named.read({ id: idOf(1), type, time: now, data });

const category = (expected: UnreadableEvent["category"]) => (error: unknown) =>
  error instanceof UnreadableEvent && error.category === expected && error.message !== "";

Deno.test("EventCatalogue.read: lifts every old version to today's, step by step", () => {
  const today = { accountId: "a", given: "Ada", family: "Lovelace" };
  assert.deepEqual(
    read("shutterlog.Named.v1", { accountId: "a", name: "Ada Lovelace" }).data,
    today,
  );
  assert.deepEqual(read("shutterlog.Named.v2", today).data, today);
  assert.deepEqual(read("shutterlog.Named.v3", today).data, today);
  assert.deepEqual(read("shutterlog.Named.v1", { accountId: "a", name: "Ada" }).data, {
    accountId: "a",
    given: "Ada",
  });
});

Deno.test("EventCatalogue.read: says why a record is not readable", () => {
  const today = { accountId: "a", given: "Ada" };
  assert.throws(() => read("shutterlog.Renamed.v1", today), category("unknown-type"));
  assert.throws(() => read("other.Named.v1", today), category("unknown-type"));
  assert.throws(() => read("shutterlog.Named.v4", today), category("unknown-version"));
  assert.throws(() => read("shutterlog.Named.v0", today), category("unknown-type"));
  assert.throws(() => read("shutterlog.Named.v3", { given: "Ada" }), category("invalid-data"));
  assert.throws(() => read("shutterlog.Named.v3", { ...today, x: 1 }), category("invalid-data"));
});

// The recorded fixtures: what each version looked like in the log the day it was first written.

interface Fixture {
  record: { id: string; type: string; time: string; data: unknown };
  reads: unknown;
}

async function fixture(name: string, version: number): Promise<Fixture> {
  const file = new URL(`fixtures/${name}.v${version}.json`, import.meta.url);
  return JSON.parse(await Deno.readTextFile(file));
}

for (const definition of catalogue.definitions) {
  for (let version = 1; version <= definition.version; version++) {
    Deno.test(`fixtures: ${definition.name} v${version} reads as it did`, async () => {
      const { record, reads } = await fixture(definition.name, version);
      assert.equal(record.type, typeAttribute({ name: definition.name, version }));
      assert.deepEqual(catalogue.read(record), reads);
    });
  }
}

Deno.test("catalogue: names are unique, personal fields have an owner", () => {
  const names = catalogue.definitions.map((definition) => definition.name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, personal, owner } of catalogue.definitions) {
    assert.equal(personal === undefined, owner === undefined, name);
  }
});
