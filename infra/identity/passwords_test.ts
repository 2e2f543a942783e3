import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { parseOptions } from "@node-rs/argon2";
import { dummyHash, hashPassword, Overloaded, password, verifyPassword } from "./passwords.ts";

Deno.test("hashPassword: argon2id with 19 MiB, t = 2, p = 1 and a salt of its own", async () => {
  const [first, second] = [
    await hashPassword("correct horse"),
    await hashPassword("correct horse"),
  ];
  ok(first.startsWith("$argon2id$v=19$m=19456,t=2,p=1$"), first);
  ok(first !== second);
  strictEqual(parseOptions(first).saltLen, 16);
  ok(!first.includes("correct"));
});

Deno.test("verifyPassword: takes the password and no other", async () => {
  const hash = await hashPassword("correct horse");
  strictEqual(await verifyPassword(hash, "correct horse"), true);
  for (const wrong of ["Correct horse", "correct horse ", "correct hors", ""]) {
    strictEqual(await verifyPassword(hash, wrong), false);
  }
});

Deno.test("verifyPassword: takes the same characters composed differently", async () => {
  const hash = await hashPassword("caf\u00e9 au lait");
  strictEqual(await verifyPassword(hash, "cafe\u0301 au lait"), true);
});

Deno.test("verifyPassword: without a hash is false, for the same work", async () => {
  strictEqual(await verifyPassword(undefined, "correct horse"), false);
  deepStrictEqual(parseOptions(dummyHash), parseOptions(await hashPassword("correct horse")));
});

Deno.test("hashPassword: a storm is served two at a time, and beyond 64 waiting refused", async () => {
  const hash = await hashPassword("correct horse");
  const storm = await Promise.allSettled(
    Array.from({ length: 80 }, (_, index) => {
      return verifyPassword(index % 2 === 0 ? hash : undefined, "correct horse");
    }),
  );
  const refused = storm.filter(({ status }) => status === "rejected");
  strictEqual(refused.length, 80 - 2 - 64);
  for (const [index, outcome] of storm.entries()) {
    if (outcome.status === "rejected") ok(outcome.reason instanceof Overloaded);
    else strictEqual(outcome.value, index % 2 === 0);
  }
  strictEqual(await verifyPassword(hash, "correct horse"), true);
});

Deno.test("verifyPassword: a hash that cannot be read gives its turn back", async () => {
  for (let time = 0; time < 5; time++) await rejects(verifyPassword("not a hash", "correct horse"));
  const hash = await hashPassword("correct horse");
  strictEqual(await verifyPassword(hash, "correct horse"), true);
});

Deno.test("password: 8 to 200 characters, whatever they are, well-formed", () => {
  const allowed = (value: string) => password.safeParse(value).success;
  ok(allowed("12345678"));
  ok(allowed("        "));
  ok(allowed("x".repeat(200)));
  ok(allowed("\u{1f4f7}".repeat(200)));
  ok(!allowed("1234567"));
  ok(!allowed("\u{1f4f7}".repeat(7)));
  ok(!allowed("x".repeat(201)));
  ok(!allowed("1234567\ud800"));
});
