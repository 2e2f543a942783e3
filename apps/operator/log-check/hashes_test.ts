import assert from "node:assert/strict";
import { newId } from "../../../infra/event-log/ids.ts";
import { Hashes } from "./hashes.ts";

Deno.test("Hashes: knows what was added, how often, and what has been marked", () => {
  const ids = Array.from({ length: 20_000 }, newId);
  const hashes = new Hashes(1);
  for (const id of ids) hashes.add(id);
  for (const id of ids.slice(0, 3)) hashes.add(id);
  assert.equal(hashes.sort(), 3);
  assert.equal(hashes.count, 20_003);
  for (const id of ids.slice(0, 10_000)) assert.ok(hashes.mark(id));
  assert.deepEqual(
    ids.map((id) => hashes.unmarked(id)),
    ids.map((_, n) => n >= 10_000),
  );
  for (let n = 0; n < 20_000; n++) assert.ok(!hashes.mark(newId()) && !hashes.unmarked(newId()));
  assert.equal(new Hashes().sort(), 0);
});
