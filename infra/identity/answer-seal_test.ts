import { ok, rejects, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { AnswerSeal } from "./answer-seal.ts";

const secret = new Uint8Array(32).fill(3);

Deno.test("AnswerSeal: an answer opens under the same secret, scope and key", async () => {
  const [seal, again] = [await AnswerSeal.derive(secret), await AnswerSeal.derive(secret)];
  const text = fc.string({ unit: "binary" });
  await fc.assert(fc.asyncProperty(text, text, text, async (scope, key, answer) => {
    const sealed = await seal.seal(scope, key, answer);
    strictEqual(await again.open(scope, key, sealed), answer);
  }));
});

Deno.test("AnswerSeal: nothing of the answer is to be seen", async () => {
  const seal = await AnswerSeal.derive(secret);
  const sealed = await seal.seal("scope", "key", "refresh-token");
  ok(!sealed.includes("refresh"));
  ok(!atob(sealed.slice(3).replaceAll("-", "+").replaceAll("_", "/")).includes("refresh"));
});

Deno.test("AnswerSeal: under another scope, key or secret, or damaged, it does not open", async () => {
  const seal = await AnswerSeal.derive(secret);
  const sealed = await seal.seal("scope", "key", "answer");
  strictEqual(await seal.open("scopek", "ey", sealed), undefined);
  strictEqual(await seal.open("other", "key", sealed), undefined);
  strictEqual(await seal.open("scope", "key", sealed + "A"), undefined);
  const other = await AnswerSeal.derive(new Uint8Array(32).fill(4));
  strictEqual(await other.open("scope", "key", sealed), undefined);
  await rejects(AnswerSeal.derive(new Uint8Array(16)), /at least 32 bytes/);
});
