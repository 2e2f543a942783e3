import assert from "node:assert/strict";
import fc from "fast-check";
import { assign, type Assignment } from "./assign.ts";

const allTopics = ["a", "b", "c"];

function unassigned(partitions: number): Assignment[] {
  return allTopics.flatMap((topic) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition, member: null }))
  );
}

function members(ids: readonly string[], topics = allTopics) {
  return ids.map((id) => ({ id, topics: new Set(topics) }));
}

const ids: fc.Arbitrary<string[]> = fc.uniqueArray(
  fc.constantFrom("m1", "m2", "m3", "m4", "m5", "m6", "m7"),
  {
    minLength: 1,
  },
);
const partitions = fc.integer({ min: 1, max: 16 });

function loads(assignment: readonly Assignment[], of: readonly string[]): number[] {
  return of.map((id) => assignment.filter(({ member }) => member === id).length);
}

Deno.test("assign: shares evenly, over however many changes of members", () => {
  fc.assert(
    fc.property(fc.array(ids, { minLength: 1, maxLength: 6 }), partitions, (changes, count) => {
      let current = unassigned(count);
      for (const present of changes) {
        current = assign(members(present), current);
        assert.ok(current.every(({ member }) => member !== null && present.includes(member)));
        const load = loads(current, present);
        assert.ok(Math.max(...load) - Math.min(...load) <= 1, `${load}`);
      }
    }),
  );
});

Deno.test("assign: moves nothing when the members are the same", () => {
  fc.assert(
    fc.property(ids, partitions, (present, count) => {
      const once = assign(members(present), unassigned(count));
      assert.deepEqual(assign(members(present), once), once);
    }),
  );
});

Deno.test("assign: a newcomer takes only its share, a leaver's goes to the others", () => {
  const two = assign(members(["m1", "m2"]), unassigned(16));
  const three = assign(members(["m1", "m2", "m3"]), two);
  const moved = three.filter(({ member }, index) => member !== two[index]?.member);
  assert.equal(moved.length, 16);
  assert.ok(moved.every(({ member }) => member === "m3"));

  const left = assign(members(["m1", "m3"]), three);
  const stayed = left.filter(({ member }, index) => member === three[index]?.member);
  assert.equal(stayed.length, 32);
});

Deno.test("assign: does not depend on the order of its input", () => {
  fc.assert(
    fc.property(ids, partitions, (present, count) => {
      const forward = assign(members(present), unassigned(count));
      const backward = assign(members(present.toReversed()), unassigned(count).toReversed());
      assert.deepEqual(backward.toReversed(), forward);
    }),
  );
});

Deno.test("assign: gives a topic only to members that take it", () => {
  const current = assign(
    [...members(["m1"], ["a"]), ...members(["m2"], ["a", "b"])],
    unassigned(4),
  );
  for (const { topic, member } of current) {
    if (topic === "a") assert.equal(member, "m1");
    if (topic === "b") assert.equal(member, "m2");
    if (topic === "c") assert.equal(member, null);
  }
});
