import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { newId } from "../event-log/ids.ts";
import type { Identity } from "./port.ts";
import { Sessions } from "./sessions.ts";
import { openSqliteIdentity } from "./sqlite.ts";
import { AccessTokens } from "./tokens.ts";

interface Setting {
  readonly identity: Identity;
  readonly path: string;
  readonly accountId: string;
  readonly accessTokens: AccessTokens;
  readonly sessions: Sessions;
  readonly now: () => Date;
  advance(seconds: number): void;
}

function test(claim: string, body: (setting: Setting) => Promise<void>): void {
  Deno.test(`Sessions: ${claim}`, async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/identity.db`;
    const identity = await openSqliteIdentity({ path });
    try {
      let time = new Date("2026-01-01T00:00:00Z").getTime();
      const now = () => new Date(time);
      const accountId = newId();
      await identity.register({
        accountId,
        handle: "Grace",
        passwordHash: "hash",
        record: () => Promise.resolve(recordOf(accountId)),
      });
      const accessTokens = await AccessTokens.create({
        secrets: [new Uint8Array(32).fill(7)],
        issuer: "https://photos.example",
        now,
      });
      const sessions = new Sessions({ identity, accessTokens, now });
      const advance = (seconds: number) => {
        time += seconds * 1000;
      };
      await body({ identity, path, accountId, accessTokens, sessions, now, advance });
    } finally {
      await identity.closeStore();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

function recordOf(accountId: string) {
  return { topic: "accounts", key: accountId, value: "{}", headers: {} };
}

test("open gives tokens of a session that stands", async ({ accountId, accessTokens, sessions }) => {
  const tokens = await sessions.open(accountId);
  ok(tokens);
  strictEqual(tokens.accountId, accountId);
  strictEqual(tokens.expiresIn, 900);
  const verified = await accessTokens.verify(tokens.accessToken);
  strictEqual(verified?.accountId, accountId);
  strictEqual(verified?.sessionId, tokens.sessionId);
  strictEqual(await sessions.stands(tokens.sessionId), true);
});

test("refresh hands the session on, with new tokens", async (setting) => {
  const { accountId, accessTokens, sessions, advance } = setting;
  const first = await sessions.open(accountId);
  ok(first);
  advance(29 * 24 * 3600);
  const second = await sessions.refresh(first.refreshToken);
  ok(second.outcome === "rotated");
  strictEqual(second.tokens.sessionId, first.sessionId);
  ok(second.tokens.refreshToken !== first.refreshToken);
  ok(second.tokens.accessToken !== first.accessToken);
  ok(await accessTokens.verify(second.tokens.accessToken));
  advance(29 * 24 * 3600);
  strictEqual((await sessions.refresh(second.tokens.refreshToken)).outcome, "rotated");
});

test("a refresh token is good for 30 days", async ({ accountId, sessions, advance }) => {
  const [first, second] = [await sessions.open(accountId), await sessions.open(accountId)];
  ok(first && second);
  advance(30 * 24 * 3600 - 1);
  strictEqual((await sessions.refresh(first.refreshToken)).outcome, "rotated");
  advance(1);
  deepStrictEqual(await sessions.refresh(second.refreshToken), { outcome: "unknown" });
  deepStrictEqual(await sessions.refresh("never given"), { outcome: "unknown" });
});

test("a refresh token that comes again ends the session at once", async (setting) => {
  const { accountId, sessions } = setting;
  const tokens = await sessions.open(accountId);
  ok(tokens);
  await sessions.refresh(tokens.refreshToken);
  strictEqual(await sessions.stands(tokens.sessionId), true);
  deepStrictEqual(await sessions.refresh(tokens.refreshToken), { outcome: "reused" });
  strictEqual(await sessions.stands(tokens.sessionId), false);
});

test("revoke is known at once here, and elsewhere within 10 seconds", async (setting) => {
  const { identity, accountId, accessTokens, sessions, now, advance } = setting;
  const elsewhere = new Sessions({ identity, accessTokens, now });
  const tokens = await sessions.open(accountId);
  ok(tokens);
  const { sessionId } = tokens;
  strictEqual(await sessions.stands(sessionId), true);
  strictEqual(await elsewhere.stands(sessionId), true);
  await sessions.revoke(sessionId);
  strictEqual(await sessions.stands(sessionId), false);
  advance(9);
  strictEqual(await elsewhere.stands(sessionId), true);
  advance(2);
  strictEqual(await elsewhere.stands(sessionId), false);
  strictEqual((await sessions.refresh(tokens.refreshToken)).outcome, "unknown");
});

test("a look-up under way while the session is revoked is not kept", async (setting) => {
  const { identity, accountId, accessTokens, now } = setting;
  const gate = Promise.withResolvers<void>();
  const slow: Identity = Object.create(identity, {
    sessionStands: {
      value: async (familyId: string) => {
        const stands = await identity.sessionStands(familyId);
        await gate.promise;
        return stands;
      },
    },
    revokeSession: { value: (familyId: string) => identity.revokeSession(familyId) },
    createSession: { value: identity.createSession.bind(identity) },
  });
  const sessions = new Sessions({ identity: slow, accessTokens, now });
  const tokens = await sessions.open(accountId);
  ok(tokens);
  const before = sessions.stands(tokens.sessionId);
  await sessions.revoke(tokens.sessionId);
  gate.resolve();
  strictEqual(await before, true);
  strictEqual(await sessions.stands(tokens.sessionId), false);
});

test("a closed account opens no session", async ({ identity, accountId, sessions }) => {
  await identity.close(accountId, recordOf(accountId));
  strictEqual(await sessions.open(accountId), undefined);
});

test("a refresh token is not in the store", async ({ path, accountId, sessions }) => {
  const tokens = await sessions.open(accountId);
  ok(tokens);
  const database = new DatabaseSync(path);
  const rows = database.prepare("SELECT * FROM refresh_tokens").all();
  database.close();
  strictEqual(rows.length, 1);
  ok(!JSON.stringify(rows).includes(tokens.refreshToken));
});
