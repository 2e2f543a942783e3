import assert from "node:assert/strict";
import { RequestDigest } from "./request-digest.ts";

Deno.test("RequestDigest: differs by method, path, body and secret, and by nothing else", async () => {
  const digest = await RequestDigest.derive(new Uint8Array(32).fill(1));
  const other = await RequestDigest.derive(new Uint8Array(32).fill(2));
  const all = await Promise.all([
    digest.of("POST", "/a", "{}"),
    digest.of("PUT", "/a", "{}"),
    digest.of("POST", "/b", "{}"),
    digest.of("POST", "/a", "[]"),
    other.of("POST", "/a", "{}"),
  ]);
  assert.equal(new Set(all).size, all.length);
  assert.equal(await digest.of("POST", "/a", "{}"), all[0]);
  assert.match(all[0] ?? "", /^[0-9a-f]{64}$/);
});
