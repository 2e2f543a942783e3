import assert from "node:assert/strict";
import { LagAge } from "./lag-age.ts";

const partition = { topic: "posts", partition: 3 };

Deno.test("LagAge: is 0 as long as everything has been passed", () => {
  const age = new LagAge();
  assert.equal(age.look(partition, 0, 0, 0), 0);
  assert.equal(age.look(partition, 7, 7, 15_000), 0);
});

Deno.test("LagAge: counts from the look that first saw what is not passed yet", () => {
  const age = new LagAge();
  assert.equal(age.look(partition, 5, 9, 1_000), 0);
  assert.equal(age.look(partition, 5, 20, 16_000), 15_000);
  // What the first look saw is passed; what the second saw is not.
  assert.equal(age.look(partition, 12, 30, 31_000), 15_000);
  assert.equal(age.look(partition, 30, 30, 46_000), 0);
});

Deno.test("LagAge: a projection that keeps up with a busy log is not behind", () => {
  const age = new LagAge();
  for (let look = 1; look < 1_000; look++) {
    assert.equal(age.look(partition, look * 100, look * 100 + 50, look * 15_000), 0);
  }
});

Deno.test("LagAge: a partition that stands still for long is known by its first look", () => {
  const age = new LagAge();
  for (let look = 0; look < 10_000; look++) {
    assert.equal(age.look(partition, 0, look + 1, look * 15_000), look * 15_000);
  }
});

Deno.test("LagAge: partitions are apart", () => {
  const age = new LagAge();
  age.look(partition, 0, 1, 0);
  assert.equal(age.look({ topic: "posts", partition: 4 }, 0, 1, 9_000), 0);
  assert.equal(age.look({ topic: "media", partition: 3 }, 0, 1, 9_000), 0);
});
