import assert from "node:assert/strict";
import { BloomMemory } from "./key-memory.ts";

Deno.test("BloomMemory: never says of a key it has met that it has not", () => {
  const memory = new BloomMemory();
  const keys = Array.from(
    { length: 100_000 },
    () => `${crypto.randomUUID()}/${crypto.randomUUID()}`,
  );
  for (const key of keys) memory.recall(key);
  assert(keys.every((key) => memory.recall(key)));
});

Deno.test("BloomMemory: takes few of a million new keys for known, even such as differ in one place", () => {
  const memory = new BloomMemory();
  let mistaken = 0;
  for (let n = 0; n < 1_000_000; n++) if (memory.recall(`likes/${n}/a`)) mistaken++;
  // (1 - e^(-4n/m))^4 is at most 0.0000007 for a million in 2^27 bits.
  assert(mistaken < 20, `${mistaken} of a million`);
});

Deno.test("BloomMemory: forgets", () => {
  const memory = new BloomMemory();
  assert.equal(memory.recall("a"), false);
  assert.equal(memory.recall("a"), true);
  memory.forget();
  assert.equal(memory.recall("a"), false);
});
