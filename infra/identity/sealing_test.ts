import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { SealBroken } from "../event-log/codec.ts";
import { newId } from "../event-log/ids.ts";
import { AccountSealer, NoTextKey, sealWith } from "./sealing.ts";

/** A store of keys, and how often it was asked. */
class Keys {
  asked = 0;
  readonly keys = new Map<string, Uint8Array>();

  textKeys(accountIds: readonly string[]): Promise<Map<string, Uint8Array>> {
    this.asked++;
    const asked = new Set(accountIds);
    return Promise.resolve(new Map([...this.keys].filter(([id]) => asked.has(id))));
  }

  add(): string {
    const accountId = newId();
    this.keys.set(accountId, crypto.getRandomValues(new Uint8Array(32)));
    return accountId;
  }
}

const text = fc.string({ unit: "binary", maxLength: 200 });

Deno.test("AccountSealer: what was sealed opens, for any text and context", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealer = new AccountSealer({ identity });
  await fc.assert(fc.asyncProperty(text, fc.string(), async (plain, context) => {
    const sealed = await sealer.seal(account, context, plain);
    ok(/^v1\.[A-Za-z0-9_-]+$/.test(sealed));
    strictEqual(await sealer.open(account, context, sealed), plain);
  }));
});

Deno.test("AccountSealer: whatever character is changed, added or lost, the seal is broken", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealer = new AccountSealer({ identity });
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= .v1";
  await fc.assert(fc.asyncProperty(
    text,
    fc.nat(),
    fc.constantFrom(...alphabet),
    fc.constantFrom("change", "add", "lose"),
    async (plain, at, character, damage) => {
      const sealed = await sealer.seal(account, "event/field", plain);
      const index = at % sealed.length;
      const damaged = sealed.slice(0, index) + (damage === "lose" ? "" : character) +
        sealed.slice(damage === "add" ? index : index + 1);
      fc.pre(damaged !== sealed);
      await rejects(sealer.open(account, "event/field", damaged), SealBroken);
    },
  ));
});

Deno.test("AccountSealer: no byte of vector, ciphertext or tag can be changed", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealer = new AccountSealer({ identity });
  const sealed = await sealer.seal(account, "event/field", "a walk by the sea");
  const bytes = Uint8Array.fromBase64(sealed.slice(3), { alphabet: "base64url" });
  for (let index = 0; index < bytes.length; index++) {
    const damaged = bytes.slice();
    damaged[index] = (damaged[index] ?? 0) ^ 1;
    const encoded = damaged.toBase64({ alphabet: "base64url", omitPadding: true });
    await rejects(sealer.open(account, "event/field", `v1.${encoded}`), SealBroken);
  }
  for (const nonsense of ["", "v1.", "v1.AAAA", "v2." + sealed.slice(3), "a walk by the sea"]) {
    await rejects(sealer.open(account, "event/field", nonsense), SealBroken);
  }
});

Deno.test("AccountSealer: a text has one sealed form", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealer = new AccountSealer({ identity });
  // 12 + 2 + 16 bytes fill their characters; one byte more leaves four spare bits, two leave two.
  for (const plain of ["ab", "abc", "abcd"]) {
    const sealed = await sealer.seal(account, "event/field", plain);
    const opened: string[] = [];
    for (const end of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
      const other = sealed.slice(0, -1) + end;
      await sealer.open(account, "event/field", other).then(() => opened.push(other), () => {});
    }
    deepStrictEqual(opened, [sealed]);
    for (const other of [`${sealed}=`, `${sealed}==`, `${sealed} `, `v1. ${sealed.slice(3)}`]) {
      await rejects(sealer.open(account, "event/field", other), SealBroken);
    }
  }
});

Deno.test("AccountSealer: a sealed text opens nowhere but where it was sealed", async () => {
  const identity = new Keys();
  const [account, other] = [identity.add(), identity.add()];
  const copied = newId();
  const key = identity.keys.get(account);
  ok(key);
  identity.keys.set(copied, key);
  const sealer = new AccountSealer({ identity });
  const sealed = await sealer.seal(account, "event/field", "text");
  await rejects(sealer.open(account, "event/other", sealed), SealBroken);
  await rejects(sealer.open(other, "event/field", sealed), SealBroken);
  // Even under the same key.
  await rejects(sealer.open(copied, "event/field", sealed), SealBroken);
});

Deno.test("AccountSealer: the same text is sealed differently each time", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealer = new AccountSealer({ identity });
  const sealed = new Set<string>();
  for (let time = 0; time < 100; time++) sealed.add(await sealer.seal(account, "context", "text"));
  strictEqual(sealed.size, 100);
});

Deno.test("AccountSealer: without a key nothing is sealed and what was opens to null", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealed = await new AccountSealer({ identity }).seal(account, "context", "text");
  identity.keys.delete(account);
  const sealer = new AccountSealer({ identity });
  strictEqual(await sealer.open(account, "context", sealed), null);
  await rejects(sealer.seal(account, "context", "text"), NoTextKey);
});

Deno.test("AccountSealer: a key is asked for once a minute, and so is its absence", async () => {
  const identity = new Keys();
  let time = 1;
  const sealer = new AccountSealer({ identity, now: () => time });
  const [account, absent] = [identity.add(), newId()];
  const [sealed] = await Promise.all([
    sealer.seal(account, "context", "text"),
    sealer.seal(account, "context", "text"),
  ]);
  strictEqual(identity.asked, 1);
  strictEqual(await sealer.open(absent, "context", sealed), null);
  strictEqual(await sealer.open(absent, "context", sealed), null);
  strictEqual(identity.asked, 2);
  identity.keys.delete(account);
  time += 59_000;
  strictEqual(await sealer.open(account, "context", sealed), "text");
  time += 2_000;
  strictEqual(await sealer.open(account, "context", sealed), null);
  strictEqual(await sealer.open(absent, "context", sealed), null);
  strictEqual(identity.asked, 4);
});

Deno.test("AccountSealer: keys wanted at the same time are asked for together, then known", async () => {
  const identity = new Keys();
  const sealer = new AccountSealer({ identity });
  const accounts = [identity.add(), identity.add(), identity.add()];
  const sealed = await Promise.all(accounts.map((id) => sealer.seal(id, "context", `of ${id}`)));
  strictEqual(identity.asked, 1);
  for (const [index, account] of accounts.entries()) {
    strictEqual(sealer.openNow(account, "context", sealed[index] ?? ""), `of ${account}`);
  }
  throws(() => sealer.openNow(accounts[0] ?? "", "other", sealed[0] ?? ""), SealBroken);
  const absent = newId();
  strictEqual(sealer.openNow(absent, "context", sealed[0] ?? ""), undefined);
  strictEqual(await sealer.open(absent, "context", sealed[0] ?? ""), null);
  strictEqual(sealer.openNow(absent, "context", sealed[0] ?? ""), null);
  strictEqual(identity.asked, 2);
});

Deno.test("AccountSealer: forget takes effect at once", async () => {
  const identity = new Keys();
  const account = identity.add();
  const sealer = new AccountSealer({ identity });
  const sealed = await sealer.seal(account, "context", "text");
  identity.keys.delete(account);
  sealer.forget(account);
  strictEqual(await sealer.open(account, "context", sealed), null);
});

Deno.test("AccountSealer: a look-up that fails is not remembered", async () => {
  const identity = new Keys();
  const account = identity.add();
  let failures = 1;
  const sealer = new AccountSealer({
    identity: {
      textKeys: (accountIds) =>
        failures-- > 0 ? Promise.reject(new Error("away")) : identity.textKeys(accountIds),
    },
  });
  await rejects(sealer.seal(account, "context", "text"), /away/);
  ok(await sealer.seal(account, "context", "text"));
});

Deno.test("sealWith: what it sealed the account's sealer opens, and only that account's", async () => {
  const identity = new Keys();
  const account = identity.add();
  const key = identity.keys.get(account);
  ok(key);
  const registration = sealWith(key, account);
  const sealed = await registration.seal(account, "event/handle", "Grace");
  strictEqual(await registration.open(account, "event/handle", sealed), "Grace");
  strictEqual(await new AccountSealer({ identity }).open(account, "event/handle", sealed), "Grace");
  await rejects(registration.seal(newId(), "event/handle", "Grace"), NoTextKey);
});
