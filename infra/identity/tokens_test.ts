import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { base64url, decodeJwt, decodeProtectedHeader, SignJWT, UnsecuredJWT } from "jose";
import { newId } from "../event-log/ids.ts";
import { deriveKey } from "./server-secret.ts";
import { AccessTokens, newRefreshToken, refreshTokenHash } from "./tokens.ts";

const issuer = "https://photos.example";
const secret = new Uint8Array(32).fill(1);
const otherSecret = new Uint8Array(32).fill(2);
const start = new Date("2026-01-01T00:00:00Z").getTime();

function clock() {
  let time = start;
  return {
    now: () => new Date(time),
    advance: (seconds: number) => {
      time += seconds * 1000;
    },
  };
}

const session = { accountId: newId(), sessionId: newId() };

Deno.test("AccessTokens: a token says whose it is for 15 minutes and not a second more", async () => {
  const { now, advance } = clock();
  const tokens = await AccessTokens.create({ secrets: [secret], issuer, now });
  const { token, expiresIn } = await tokens.issue(session);
  strictEqual(expiresIn, 900);
  const expected = { ...session, expiresAt: new Date(start + 900_000) };
  deepStrictEqual(await tokens.verify(token), expected);
  advance(899);
  deepStrictEqual(await tokens.verify(token), expected);
  const fresh = await AccessTokens.create({ secrets: [secret], issuer, now });
  deepStrictEqual(await fresh.verify(token), expected);
  advance(1);
  strictEqual(await tokens.verify(token), undefined);
  strictEqual(await fresh.verify(token), undefined);
  const unseen = await AccessTokens.create({ secrets: [secret], issuer, now });
  strictEqual(await unseen.verify(token), undefined);
});

Deno.test("AccessTokens: claims are sub, sid, iat, exp, iss and aud", async () => {
  const tokens = await AccessTokens.create({ secrets: [secret], issuer, now: clock().now });
  const { token } = await tokens.issue(session);
  deepStrictEqual(decodeJwt(token), {
    sub: session.accountId,
    sid: session.sessionId,
    iss: issuer,
    aud: "shutterlog",
    iat: start / 1000,
    exp: start / 1000 + 900,
  });
});

Deno.test("AccessTokens: no character of a token can be changed", async () => {
  const { now } = clock();
  const tokens = await AccessTokens.create({ secrets: [secret], issuer, now });
  const { token } = await tokens.issue(session);
  ok(await tokens.verify(token));
  for (let index = 0; index < token.length; index++) {
    // The last character of a 32-byte signature has two spare bits, which change nothing.
    if (index === token.length - 1) continue;
    const other = token[index] === "A" ? "B" : "A";
    const forged = token.slice(0, index) + other + token.slice(index + 1);
    strictEqual(await tokens.verify(forged), undefined);
  }
  for (const nonsense of ["", ".", "..", "a.b.c", `${token}.`, token.slice(0, -1)]) {
    strictEqual(await tokens.verify(nonsense), undefined);
  }
});

Deno.test("AccessTokens: a token without signature, or by another algorithm, is refused", async () => {
  const { now } = clock();
  const tokens = await AccessTokens.create({ secrets: [secret], issuer, now });
  const { token } = await tokens.issue(session);
  const { kid } = decodeProtectedHeader(token);
  const claims = decodeJwt(token);

  strictEqual(await tokens.verify(new UnsecuredJWT(claims).encode()), undefined);
  const [, payload = "", signature = ""] = token.split(".");
  for (const alg of ["none", "None", "HS512", "RS256", "dir"]) {
    const header = base64url.encode(JSON.stringify({ alg, typ: "JWT", kid }));
    strictEqual(await tokens.verify(`${header}.${payload}.`), undefined);
    strictEqual(await tokens.verify(`${header}.${payload}.${signature}`), undefined);
  }
  const hs512 = await deriveKey(secret, "access tokens", {
    name: "HMAC",
    hash: "SHA-512",
    length: 512,
  }, ["sign"]);
  const confused = new SignJWT(claims).setProtectedHeader({ alg: "HS512", typ: "JWT", kid });
  strictEqual(await tokens.verify(await confused.sign(hs512)), undefined);
});

Deno.test("AccessTokens: what is signed by our key but says otherwise is refused", async () => {
  const { now } = clock();
  const tokens = await AccessTokens.create({ secrets: [secret], issuer, now });
  const { token } = await tokens.issue(session);
  const { kid } = decodeProtectedHeader(token);
  const claims = decodeJwt(token);
  const algorithm = { name: "HMAC", hash: "SHA-256", length: 256 };
  const key = await deriveKey(secret, "access tokens", algorithm, ["sign"]);
  const signed = (change: Record<string, unknown>, header: { kid?: string; typ?: string }) =>
    new SignJWT({ ...claims, ...change }).setProtectedHeader({ alg: "HS256", ...header }).sign(key);
  const good = { kid, typ: "JWT" };

  ok(await tokens.verify(await signed({}, good)));
  for (const claim of ["sub", "sid", "iss", "aud", "exp", "iat"]) {
    strictEqual(await tokens.verify(await signed({ [claim]: undefined }, good)), undefined, claim);
  }
  const wrong = [{ iss: "https://other" }, { aud: "other" }, { sub: 1 }, { exp: start / 1000 }];
  for (const change of wrong) {
    strictEqual(await tokens.verify(await signed(change, good)), undefined);
  }
  strictEqual(await tokens.verify(await signed({}, { typ: "JWT" })), undefined);
  strictEqual(await tokens.verify(await signed({}, { kid: "unknown", typ: "JWT" })), undefined);
  strictEqual(await tokens.verify(await signed({}, { kid, typ: "other" })), undefined);
});

Deno.test("AccessTokens: a new secret signs while the old one still verifies", async () => {
  const { now } = clock();
  const before = await AccessTokens.create({ secrets: [otherSecret], issuer, now });
  const during = await AccessTokens.create({ secrets: [secret, otherSecret], issuer, now });
  const after = await AccessTokens.create({ secrets: [secret], issuer, now });
  const { token: old } = await before.issue(session);
  const { token: fresh } = await during.issue(session);
  ok(await during.verify(old));
  ok(await during.verify(fresh));
  ok(await after.verify(fresh));
  strictEqual(await after.verify(old), undefined);
  strictEqual(await before.verify(fresh), undefined);
});

Deno.test("AccessTokens: a secret under 32 bytes is refused", async () => {
  await rejects(
    AccessTokens.create({ secrets: [new Uint8Array(31)], issuer, now: clock().now }),
    /at least 32 bytes/,
  );
});

Deno.test("newRefreshToken: 32 bytes of base64url, never twice, kept as SHA-256", async () => {
  const tokens = new Set(Array.from({ length: 1000 }, newRefreshToken));
  strictEqual(tokens.size, 1000);
  for (const token of tokens) ok(/^[A-Za-z0-9_-]{43}$/.test(token));
  // The example of FIPS 180-2, appendix B.1.
  strictEqual(
    await refreshTokenHash("abc"),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
