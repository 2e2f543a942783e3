import assert from "node:assert/strict";
import { AnswerSeal } from "../identity/answer-seal.ts";
import { openSqliteIdentity } from "../identity/sqlite.ts";
import { newId } from "../event-log/ids.ts";
import type { Identity } from "../identity/port.ts";
import { jsonBody } from "./json-body.ts";
import { Idempotency } from "./idempotency.ts";
import { setPosition } from "./positions.ts";
import { Problem } from "./problem.ts";
import { RequestDigest } from "./request-digest.ts";
import { problemCode, testEdge } from "./testing.ts";

async function withEdge(
  test: (world: {
    post(body: unknown, key?: string, path?: string): Promise<Response>;
    runs: string[][];
    identity: Identity;
    /** Called within each run. */
    during: { run(): Promise<void> };
  }) => Promise<void>,
) {
  const folder = await Deno.makeTempDir();
  const identity = await openSqliteIdentity({ path: `${folder}/identity.sqlite` });
  try {
    const secret = new Uint8Array(32).fill(7);
    const idempotency = new Idempotency({
      identity,
      seal: await AnswerSeal.derive(secret),
      digest: await RequestDigest.derive(secret),
      newId,
      now: () => new Date(),
    });
    const runs: string[][] = [];
    const during = { run: () => Promise.resolve() };
    const edge = testEdge();
    const handler = (c: Parameters<Idempotency["once"]>[0]) =>
      idempotency.once(c, async (nextId) => {
        const ids = [nextId(), nextId()];
        runs.push(ids);
        await during.run();
        setPosition(c, [{ topic: "posts", partition: 0, offset: runs.length }]);
        return c.json({ ids, drawn: crypto.randomUUID() }, 201);
      });
    edge.post("/a", jsonBody(), handler);
    edge.post("/b", jsonBody(), handler);
    const post = async (body: unknown, key?: string, path = "/a") =>
      await edge.request(path, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          ...(key !== undefined && { "Idempotency-Key": key }),
        },
        body: JSON.stringify(body),
      });
    await test({ post, runs, identity, during });
  } finally {
    await identity.closeStore();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("Idempotency: a retry gets the first answer, status, body and Position, and runs nothing", () =>
  withEdge(async ({ post, runs }) => {
    const [first, again] = [await post({ a: 1 }, "key"), await post({ a: 1 }, "key")];
    assert.equal(again.status, 201);
    assert.equal(again.headers.get("position"), "posts:0:1");
    assert.equal(again.headers.get("content-type"), "application/json");
    assert.equal(await again.text(), await first.text());
    assert.equal(runs.length, 1);
  }));

Deno.test("Idempotency: another body or path under the same key is refused", () =>
  withEdge(async ({ post, runs }) => {
    await post({ a: 1 }, "key");
    for (const reused of [await post({ a: 2 }, "key"), await post({ a: 1 }, "key", "/b")]) {
      assert.equal(reused.status, 422);
      assert.equal(await problemCode(reused), "idempotency-key-reused");
    }
    assert.equal(runs.length, 1);
  }));

Deno.test("Idempotency: without a key, or under another, every request is its own", () =>
  withEdge(async ({ post, runs }) => {
    for (const key of [undefined, undefined, "one", "two"]) await post({ a: 1 }, key);
    assert.equal(new Set(runs.flat()).size, 8);
  }));

Deno.test("Idempotency: what failed runs again under the same ids, and is not kept", () =>
  withEdge(async ({ post, runs, during }) => {
    during.run = () => Promise.reject(new Problem("unavailable", "the log is away"));
    assert.equal((await post({ a: 1 }, "key")).status, 503);
    during.run = () => Promise.resolve();
    assert.equal((await post({ a: 1 }, "key")).status, 201);
    assert.equal(runs.length, 2);
    assert.deepEqual(runs[0], runs[1]);
  }));

Deno.test("Idempotency: requests at the same time end with one answer", () =>
  withEdge(async ({ post, runs, during }) => {
    const all = Promise.withResolvers<void>();
    // Nobody goes on before all have begun.
    during.run = () => {
      if (runs.length === 3) all.resolve();
      return all.promise;
    };
    const responses = await Promise.all([1, 2, 3].map(() => post({ a: 1 }, "key")));
    const answers = await Promise.all(
      responses.map(async (r) => `${r.status} ${r.headers.get("position")} ${await r.text()}`),
    );
    assert.equal(new Set(answers).size, 1, answers.join("\n"));
    assert.equal(new Set(runs.map(String)).size, 1);
  }));

Deno.test("Idempotency: a key is 1 to 255 visible ASCII characters", () =>
  withEdge(async ({ post, runs }) => {
    for (const key of ["", "a b", "x".repeat(256), "é"]) {
      const response = await post({ a: 1 }, key);
      assert.equal(response.status, 400, key);
      assert.equal(await problemCode(response), "invalid-idempotency-key");
    }
    assert.equal(runs.length, 0);
    assert.equal((await post({ a: 1 }, "x".repeat(255))).status, 201);
  }));
