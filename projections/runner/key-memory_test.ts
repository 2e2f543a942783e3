import assert from "node:assert/strict";
import { BloomMemory } from "./key-memory.ts";

Deno.test("BloomMemory: never says of a key it has met that it has not", () => {
  // Of fewer keys than come.
  const memory = new BloomMemory(10_000);
  const keys = Array.from(
    { length: 100_000 },
    () => `${crypto.randomUUID()}/${crypto.randomUUID()}`,
  );
  for (const key of keys) memory.recall(key);
  assert(keys.every((key) => memory.recall(key)));
});

Deno.test("BloomMemory: takes few of a million new keys for known, even such as differ in one place", () => {
  const memory = new BloomMemory(1_000_000);
  let mistaken = 0;
  for (let n = 0; n < 1_000_000; n++) if (memory.recall(`${n}`, "a")) mistaken++;
  // (1 - e^(-4n/m))^4 rises to 0.0024 when the last of them come, and their hashes of 32 bits collide.
  assert(mistaken < 1_500, `${mistaken} of a million`);
});

Deno.test("BloomMemory: a key of two parts is neither of them", () => {
  const memory = new BloomMemory(10);
  assert.equal(memory.recall("a", "b"), false);
  assert.equal(memory.recall("a", "b"), true);
  assert.equal(memory.recall("a", "c"), false);
  assert.equal(memory.recall("b"), false);
});
