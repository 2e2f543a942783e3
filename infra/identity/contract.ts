import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { newId } from "../event-log/ids.ts";
import type { NewRecord } from "../event-log/port.ts";
import type { Identity } from "./port.ts";

/** A store that begins empty; every connection is another client of it. */
export interface IdentityStore {
  connect(): Promise<Identity>;
  remove(): Promise<void>;
}

const now = new Date("2026-01-01T00:00:00Z");

/** What every adapter of the identity port must hold to. */
/** One account's key; undefined when it has none. */
export async function textKeyOf(
  identity: Pick<Identity, "textKeys">,
  accountId: string,
): Promise<Uint8Array | undefined> {
  return (await identity.textKeys([accountId])).get(accountId);
}

export function identityContract(name: string, create: () => Promise<IdentityStore>): void {
  function test(claim: string, body: (connect: () => Promise<Identity>) => Promise<void>): void {
    Deno.test(`${name}: ${claim}`, async () => {
      const store = await create();
      const connections: Identity[] = [];
      try {
        await body(async () => {
          const connection = await store.connect();
          connections.push(connection);
          return connection;
        });
      } finally {
        for (const connection of connections) await connection.closeStore();
        await store.remove();
      }
    });
  }

  test("register makes the account, its key and its outbox row", async (connect) => {
    const identity = await connect();
    const keys: Uint8Array[] = [];
    const accountId = newId();
    const registered = await identity.register({
      accountId,
      handle: "Ada.Lovelace",
      passwordHash: "hash",
      record: (key) => {
        keys.push(key);
        return Promise.resolve(recordOf(accountId, "AccountRegistered"));
      },
    });
    strictEqual(registered, "registered");
    const key = await textKeyOf(identity, accountId);
    strictEqual(key?.length, 32);
    deepStrictEqual(keys, [key]);
    const credentials = {
      accountId,
      handle: "Ada.Lovelace",
      passwordHash: "hash",
      status: "open" as const,
    };
    deepStrictEqual(await identity.credentials({ handle: "aDA.lOVELACE" }), credentials);
    deepStrictEqual(await identity.credentials({ accountId }), credentials);
    deepStrictEqual(await outbox(identity), [recordOf(accountId, "AccountRegistered")]);
  });

  test("what never was is undefined", async (connect) => {
    const identity = await connect();
    strictEqual(await identity.credentials({ handle: "nobody" }), undefined);
    strictEqual(await identity.credentials({ accountId: newId() }), undefined);
    strictEqual(await textKeyOf(identity, newId()), undefined);
    strictEqual(await identity.sessionStands(newId()), false);
    deepStrictEqual(await identity.pendingOutbox(10), []);
  });

  test("accounts have keys of their own", async (connect) => {
    const identity = await connect();
    const [first, second] = [await registered(identity, "one"), await registered(identity, "two")];
    const found = await identity.textKeys([first, newId(), second]);
    deepStrictEqual(new Set(found.keys()), new Set([first, second]));
    const keys = [await textKeyOf(identity, first), await textKeyOf(identity, second)];
    ok(keys[0] && keys[1]);
    ok(!keys[0].every((byte, index) => byte === keys[1]?.[index]));
    deepStrictEqual([found.get(first), found.get(second)], keys);
    deepStrictEqual(await identity.textKeys([]), new Map());
  });

  test("register refuses a handle that is taken, in whatever case", async (connect) => {
    const identity = await connect();
    const holder = await registered(identity, "Grace");
    const accountId = newId();
    strictEqual(await register(identity, accountId, "gRACE"), "handle-taken");
    strictEqual(await identity.credentials({ accountId }), undefined);
    strictEqual(await textKeyOf(identity, accountId), undefined);
    strictEqual((await identity.credentials({ handle: "grace" }))?.accountId, holder);
    strictEqual((await outbox(identity)).length, 1);
  });

  test("adopt takes the handle and makes a key, and leaves nothing in the outbox", async (connect) => {
    const identity = await connect();
    const accountId = newId();
    const adopt = (id: string, handle: string) =>
      identity.adopt({ accountId: id, handle, passwordHash: "none" });
    strictEqual(await adopt(accountId, "Ada"), "adopted");
    const key = await textKeyOf(identity, accountId);
    strictEqual(key?.length, 32);
    strictEqual((await identity.credentials({ handle: "aDA" }))?.accountId, accountId);
    strictEqual(await adopt(accountId, "Ada"), "adopted");
    deepStrictEqual(await textKeyOf(identity, accountId), key);
    const other = newId();
    strictEqual(await adopt(other, "ADA"), "handle-taken");
    strictEqual(await textKeyOf(identity, other), undefined);
    await rejects(adopt(accountId, "Grace"));
    strictEqual(await identity.credentials({ handle: "Grace" }), undefined);
    deepStrictEqual(await outbox(identity), []);
    await identity.close(accountId, recordOf(accountId, "AccountClosed"));
    strictEqual(await textKeyOf(identity, accountId), undefined);
    strictEqual(await adopt(accountId, "Ada"), "adopted");
    strictEqual((await identity.credentials({ accountId }))?.status, "closed");
  });

  test("registering the same account again succeeds and changes nothing", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace", "first");
    const key = await textKeyOf(identity, accountId);
    strictEqual(await register(identity, accountId, "Grace", "second"), "registered");
    deepStrictEqual(await textKeyOf(identity, accountId), key);
    strictEqual((await identity.credentials({ accountId }))?.passwordHash, "first");
    strictEqual((await outbox(identity)).length, 1);
  });

  test("an account does not register under a second handle", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    await rejects(register(identity, accountId, "Hopper"));
    strictEqual(await identity.credentials({ handle: "Hopper" }), undefined);
    strictEqual((await outbox(identity)).length, 1);
  });

  test("register leaves nothing when its record cannot be made", async (connect) => {
    const identity = await connect();
    const accountId = newId();
    const failing = identity.register({
      accountId,
      handle: "Grace",
      passwordHash: "hash",
      record: () => Promise.reject(new Error("no record")),
    });
    await rejects(failing, /no record/);
    strictEqual(await identity.credentials({ accountId }), undefined);
    strictEqual(await register(identity, newId(), "Grace"), "registered");
  });

  test("of registrations that race for a handle exactly one wins", async (connect) => {
    const clients = [await connect(), await connect(), await connect()];
    for (let round = 0; round < 20; round++) {
      const contenders = clients.flatMap((client) =>
        ["racer", "RACER", "Racer"].map((spelling) => ({
          client,
          accountId: newId(),
          handle: `${spelling}${round}`,
        }))
      );
      const outcomes = await Promise.all(
        contenders.map(({ client, accountId, handle }) => register(client, accountId, handle)),
      );
      strictEqual(outcomes.filter((outcome) => outcome === "registered").length, 1);
      const winner = contenders[outcomes.indexOf("registered")];
      for (const { client, accountId } of contenders) {
        const won = accountId === winner?.accountId;
        strictEqual(await textKeyOf(client, accountId) !== undefined, won);
        strictEqual(
          (await outbox(client)).filter(({ key }) => key === accountId).length,
          won ? 1 : 0,
        );
      }
    }
  });

  test("the same registration racing itself happens once", async (connect) => {
    const clients = [await connect(), await connect()];
    const accountId = newId();
    const outcomes = await Promise.all(
      [...clients, ...clients].map((client) => register(client, accountId, "twice")),
    );
    deepStrictEqual(new Set(outcomes), new Set(["registered"]));
    for (const client of clients) strictEqual((await outbox(client)).length, 1);
  });

  test("close drops key, password and sessions and keeps the handle taken", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const other = await registered(identity, "Ada");
    const [family, otherFamily] = [newId(), newId()];
    await identity.createSession(session(family, accountId, "token"));
    await identity.createSession(session(otherFamily, other, "other-token"));

    await identity.close(accountId, recordOf(accountId, "AccountClosed"));

    strictEqual(await textKeyOf(identity, accountId), undefined);
    deepStrictEqual(await identity.credentials({ handle: "Grace" }), {
      accountId,
      handle: "Grace",
      passwordHash: undefined,
      status: "closed",
    });
    strictEqual(await identity.sessionStands(family), false);
    deepStrictEqual(await rotate(identity, "token", "next"), { outcome: "unknown" });
    strictEqual(await register(identity, newId(), "gRACE"), "handle-taken");
    deepStrictEqual((await outbox(identity)).map(({ value }) => value), [
      "AccountRegistered",
      "AccountRegistered",
      "AccountClosed",
    ]);
    strictEqual(await identity.sessionStands(otherFamily), true);
    ok(await textKeyOf(identity, other));
  });

  test("closing again, or what never was, changes nothing", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    await identity.close(accountId, recordOf(accountId, "AccountClosed"));
    await identity.close(accountId, recordOf(accountId, "AccountClosed"));
    await identity.close(newId(), recordOf(newId(), "AccountClosed"));
    strictEqual((await outbox(identity)).length, 2);
  });

  test("registering a closed account again does not bring its key back", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    await identity.close(accountId, recordOf(accountId, "AccountClosed"));
    strictEqual(await register(identity, accountId, "Grace"), "registered");
    strictEqual(await textKeyOf(identity, accountId), undefined);
    strictEqual((await identity.credentials({ accountId }))?.status, "closed");
  });

  test("the outbox is read in order and rows leave it one by one", async (connect) => {
    const identity = await connect();
    const accounts: string[] = [];
    for (let index = 0; index < 5; index++) {
      accounts.push(await registered(identity, `account${index}`));
    }
    const rows = await identity.pendingOutbox(3);
    deepStrictEqual(rows.map(({ record }) => record.key), accounts.slice(0, 3));
    await identity.removeOutbox([rows[0]?.id ?? -1, rows[2]?.id ?? -1]);
    await identity.removeOutbox([rows[0]?.id ?? -1]);
    await identity.removeOutbox([]);
    deepStrictEqual((await outbox(identity)).map(({ key }) => key), [
      accounts[1],
      accounts[3],
      accounts[4],
    ]);
  });

  test("rotation hands a session on, token by token", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const familyId = newId();
    strictEqual(await identity.createSession(session(familyId, accountId, "one")), "created");
    strictEqual(await identity.sessionStands(familyId), true);
    const rotated = { outcome: "rotated", accountId, familyId };
    deepStrictEqual(await rotate(identity, "one", "two"), rotated);
    deepStrictEqual(await rotate(identity, "two", "three"), rotated);
    strictEqual(await identity.sessionStands(familyId), true);
  });

  test("a token that is used again revokes the whole family", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const [familyId, other] = [newId(), newId()];
    await identity.createSession(session(familyId, accountId, "one"));
    await identity.createSession(session(other, accountId, "other-one"));
    await rotate(identity, "one", "two");
    await rotate(identity, "two", "three");
    const reused = { outcome: "reused", accountId, familyId };
    deepStrictEqual(await rotate(identity, "one", "stolen"), reused);
    strictEqual(await identity.sessionStands(familyId), false);
    for (const token of ["one", "two", "three", "stolen"]) {
      deepStrictEqual(await rotate(identity, token, `after-${token}`), { outcome: "unknown" });
    }
    strictEqual(await identity.sessionStands(other), true);
    strictEqual((await rotate(identity, "other-one", "other-two")).outcome, "rotated");
  });

  test("an unknown, expired or revoked token is unknown", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const [familyId, revoked] = [newId(), newId()];
    await identity.createSession(session(familyId, accountId, "one", later(60)));
    await identity.createSession(session(revoked, accountId, "revoked", later(60)));
    await identity.revokeSession(revoked);
    strictEqual(await identity.sessionStands(revoked), false);
    strictEqual(await identity.sessionStands(familyId), true);
    const unknown = { outcome: "unknown" };
    deepStrictEqual(await rotate(identity, "never", "next"), unknown);
    deepStrictEqual(await rotate(identity, "revoked", "next"), unknown);
    deepStrictEqual(await rotate(identity, "one", "next", later(60)), unknown);
    deepStrictEqual(await rotate(identity, "next", "another"), unknown);
  });

  test("a session lives on with its latest token", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const familyId = newId();
    await identity.createSession(session(familyId, accountId, "one", later(60)));
    await identity.rotateSession("one", { tokenHash: "two", expiresAt: later(600) }, now);
    const rotation = await rotate(identity, "two", "three", later(599));
    strictEqual(rotation.outcome, "rotated");
    strictEqual(await identity.sessionStands(familyId), true);
  });

  test("a token is expired however many expired before it", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    for (let index = 0; index < 40; index++) {
      await identity.createSession(session(newId(), accountId, `token${index}`, later(index)));
    }
    deepStrictEqual(await rotate(identity, "token39", "next", later(39)), { outcome: "unknown" });
  });

  test("a token that another session has is taken by none, and leaves nothing", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const [familyId, other] = [newId(), newId()];
    await identity.createSession(session(familyId, accountId, "one"));
    await rejects(identity.createSession(session(other, accountId, "one")));
    strictEqual(await identity.sessionStands(other), false);
    await rejects(rotate(identity, "one", "one"));
    strictEqual((await rotate(identity, "one", "two")).outcome, "rotated");
  });

  test("of rotations of one token that race, one rotates and one revokes", async (connect) => {
    const clients = [await connect(), await connect()];
    const [first] = clients;
    ok(first);
    const accountId = await registered(first, "Grace");
    for (let round = 0; round < 20; round++) {
      const familyId = newId();
      await first.createSession(session(familyId, accountId, `token${round}`));
      const outcomes = await Promise.all(
        clients.map((client, index) => rotate(client, `token${round}`, `next${round}-${index}`)),
      );
      deepStrictEqual(outcomes.map(({ outcome }) => outcome).sort(), ["reused", "rotated"]);
      for (const client of clients) strictEqual(await client.sessionStands(familyId), false);
    }
  });

  test("no session begins unless the account is open", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    await identity.close(accountId, recordOf(accountId, "AccountClosed"));
    for (const account of [accountId, newId()]) {
      const familyId = newId();
      strictEqual(
        await identity.createSession(session(familyId, account, "token")),
        "account-not-open",
      );
      strictEqual(await identity.sessionStands(familyId), false);
    }
  });

  const request = { scope: "account", key: "key", bodyHash: "body", ids: ["a", "b"], now };

  test("the same key and body find the ids reserved first, and the answer", async (connect) => {
    const identity = await connect();
    const { ids } = request;
    deepStrictEqual(await identity.reserve(request), { outcome: "reserved", ids, retry: false });
    const retry = { ...request, ids: ["c", "d"] };
    deepStrictEqual(await identity.reserve(retry), { outcome: "reserved", ids, retry: true });
    await identity.recordAnswer("account", "key", "answer");
    await identity.recordAnswer("account", "key", "another answer");
    const answered = { outcome: "reserved", ids, retry: true, answer: "answer" };
    deepStrictEqual(await identity.reserve(retry), answered);
  });

  test("another body under the key is told apart", async (connect) => {
    const identity = await connect();
    await identity.reserve(request);
    const other = { ...request, bodyHash: "another body" };
    deepStrictEqual(await identity.reserve(other), { outcome: "other-body" });
    strictEqual((await identity.reserve(request)).outcome, "reserved");
  });

  test("a key is one's own", async (connect) => {
    const identity = await connect();
    await identity.reserve(request);
    const other = { ...request, scope: "another account", bodyHash: "another body", ids: ["c"] };
    deepStrictEqual(await identity.reserve(other), {
      outcome: "reserved",
      ids: ["c"],
      retry: false,
    });
  });

  test("reservations that race agree on one set of ids", async (connect) => {
    const clients = [await connect(), await connect(), await connect()];
    for (let round = 0; round < 20; round++) {
      const outcomes = await Promise.all(
        [...clients, ...clients].map((client, index) =>
          client.reserve({ ...request, key: `key${round}`, ids: [`id${index}`] })
        ),
      );
      const ids = new Set(
        outcomes.map((outcome) => outcome.outcome === "reserved" ? outcome.ids.join() : "none"),
      );
      strictEqual(ids.size, 1);
      const firsts = outcomes.filter((outcome) => outcome.outcome === "reserved" && !outcome.retry);
      strictEqual(firsts.length, 1);
    }
  });

  test("a key is kept for 24 hours and then free", async (connect) => {
    const identity = await connect();
    await identity.reserve(request);
    await identity.recordAnswer("account", "key", "answer");
    const day = 24 * 60 * 60;
    const just = await identity.reserve({ ...request, now: later(day - 1) });
    strictEqual(just.outcome === "reserved" && just.answer, "answer");
    const again = { ...request, bodyHash: "another body", ids: ["c"], now: later(day) };
    deepStrictEqual(await identity.reserve(again), {
      outcome: "reserved",
      ids: ["c"],
      retry: false,
    });
  });

  test("everything is there after a reopening", async (connect) => {
    const before = await connect();
    const accountId = await registered(before, "Grace");
    const key = await textKeyOf(before, accountId);
    const familyId = newId();
    await before.createSession(session(familyId, accountId, "token"));
    await before.reserve(request);
    await before.closeStore();

    const after = await connect();
    deepStrictEqual(await textKeyOf(after, accountId), key);
    strictEqual((await after.credentials({ handle: "grace" }))?.accountId, accountId);
    strictEqual((await outbox(after)).length, 1);
    strictEqual((await rotate(after, "token", "next")).outcome, "rotated");
    const retry = await after.reserve({ ...request, ids: ["c"] });
    deepStrictEqual(retry, { outcome: "reserved", ids: request.ids, retry: true });
  });

  test("many writes wanted at once all happen, each for itself", async (connect) => {
    const identity = await connect();
    const accountId = await registered(identity, "Grace");
    const outcomes = await Promise.allSettled(
      Array.from({ length: 300 }, (_, index) =>
        // Every third violates a constraint, which must not touch its neighbours.
        register(identity, index % 3 === 0 ? accountId : newId(), `handle${index}`)),
    );
    for (const [index, { status }] of outcomes.entries()) {
      strictEqual(status, index % 3 === 0 ? "rejected" : "fulfilled");
      const credentials = await identity.credentials({ handle: `handle${index}` });
      strictEqual(credentials !== undefined, index % 3 !== 0);
    }
    strictEqual((await outbox(identity)).length, 201);
  });

  test("check answers while the store is open", async (connect) => {
    const identity = await connect();
    await identity.check();
    const closed = await connect();
    await closed.closeStore();
    await rejects(closed.check());
  });
}

function register(
  identity: Identity,
  accountId: string,
  handle: string,
  passwordHash = "hash",
): Promise<"registered" | "handle-taken"> {
  const record = () => Promise.resolve(recordOf(accountId, "AccountRegistered"));
  return identity.register({ accountId, handle, passwordHash, record });
}

async function registered(
  identity: Identity,
  handle: string,
  passwordHash = "hash",
): Promise<string> {
  const accountId = newId();
  strictEqual(await register(identity, accountId, handle, passwordHash), "registered");
  return accountId;
}

function recordOf(accountId: string, value: string): NewRecord {
  return { topic: "accounts", key: accountId, value, headers: { ce_id: `${value} ${accountId}` } };
}

async function outbox(identity: Identity): Promise<NewRecord[]> {
  return (await identity.pendingOutbox(1000)).map(({ record }) => record);
}

function later(seconds: number): Date {
  return new Date(now.getTime() + seconds * 1000);
}

function session(familyId: string, accountId: string, tokenHash: string, expiresAt = later(3600)) {
  return { familyId, accountId, tokenHash, expiresAt };
}

function rotate(identity: Identity, tokenHash: string, successor: string, at = now) {
  return identity.rotateSession(
    tokenHash,
    { tokenHash: successor, expiresAt: new Date(at.getTime() + 3_600_000) },
    at,
  );
}
