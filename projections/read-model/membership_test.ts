import assert from "node:assert/strict";
import fc from "fast-check";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import { foldMemberships, type Member, type Membership } from "./membership.ts";
import { SeenEvents } from "./seen-events.ts";

const nothing: SqlTransaction = {
  query: () => Promise.resolve([]),
  execute: () => Promise.resolve(),
  copy: () => Promise.resolve(0),
};

/** Folds batch after batch, as the database would carry the pairs from one to the next. */
async function fold(facts: readonly Membership[], cuts: readonly number[]): Promise<Member[]> {
  const seen = await SeenEvents.load(nothing, []);
  let standing: Member[] = [];
  let begin = 0;
  for (const end of [...cuts.toSorted((a, b) => a - b), facts.length]) {
    const changes = foldMemberships(standing, facts.slice(begin, end), seen);
    const changed = new Set(changes.map(({ left, right }) => `${left}/${right}`));
    standing = [
      ...standing.filter(({ left, right }) => !changed.has(`${left}/${right}`)),
      ...changes.flatMap(({ left, right, after }) =>
        after === undefined ? [] : [{ left, right, eventId: after }]
      ),
    ];
    begin = Math.max(begin, end);
  }
  return standing.toSorted((a, b) => `${a.left}${a.right}` < `${b.left}${b.right}` ? -1 : 1);
}

Deno.test("foldMemberships: the set is what its last new fact says of each pair, wherever batches are cut and whatever is told again", async () => {
  const side = fc.constantFrom("a", "b");
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ left: side, right: side, adds: fc.boolean() }), { maxLength: 20 }),
      fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 10 }),
      fc.array(fc.nat(30), { maxLength: 6 }),
      async (drawn, again, cuts) => {
        const facts = drawn.map((fact, n) => ({ ...fact, eventId: `e${n}` }));
        // Independently of the fold: an addition stands from the first of an unbroken run.
        const expected = new Map<string, Member>();
        for (const { left, right, adds, eventId } of facts) {
          const pair = left + right;
          if (!adds) expected.delete(pair);
          else if (!expected.has(pair)) expected.set(pair, { left, right, eventId });
        }
        const log = [...facts];
        for (const [of, later] of again) {
          const fact = facts[of % Math.max(1, facts.length)];
          if (!fact) continue;
          const first = log.indexOf(fact);
          log.splice(first + 1 + later % (log.length - first), 0, fact);
        }
        assert.deepEqual(
          await fold(log, cuts.map((cut) => Math.min(cut, log.length))),
          [...expected].toSorted(([a], [b]) => a < b ? -1 : 1).map(([, member]) => member),
        );
      },
    ),
    { numRuns: 1000 },
  );
});
