import assert from "node:assert/strict";
import { freePorts } from "./ports.ts";

Deno.test("freePorts: what was drawn is not drawn again while it may be on its way to a listener", () => {
  const drawn = Array.from({ length: 60 }, () => freePorts(20)).flat();
  assert.equal(new Set(drawn).size, drawn.length);
});
