import assert from "node:assert/strict";
import { LogUnavailable } from "../event-log/port.ts";
import { Overloaded } from "../identity/passwords.ts";
import { StoreUnavailable } from "../object-store/port.ts";
import { SqlError } from "../sql/port.ts";
import { type Fields, silentLogger } from "../telemetry/logger.ts";
import { Problem } from "./problem.ts";
import { problemCode, testEdge } from "./testing.ts";
import { createRoute, z } from "@hono/zod-openapi";

function throwing(error: Error) {
  const logged: Fields[] = [];
  const logger = {
    ...silentLogger,
    error: (_: string, fields?: Fields) => void logged.push(fields ?? {}),
  };
  const edge = testEdge({ logger });
  edge.get("/", () => {
    throw error;
  });
  return { edge, logged };
}

Deno.test("createEdge: a problem is answered as its document", async () => {
  const { edge, logged } = throwing(
    new Problem("post-not-found", "no such post", { headers: { "X-More": "1" } }),
  );
  const response = await edge.request("/", { headers: { "X-Request-Id": "request-1" } });
  assert.equal(response.status, 404);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.equal(response.headers.get("x-more"), "1");
  assert.deepEqual(await response.json(), {
    type: "/problems/post-not-found",
    title: "No such post",
    status: 404,
    detail: "no such post",
    instance: "request-1",
  });
  assert.deepEqual(logged, [], "an expected refusal is no error of ours");
});

Deno.test("createEdge: what nobody foresaw is a 500 that says nothing, and is logged", async () => {
  const secret = "SELECT password FROM accounts";
  const { edge, logged } = throwing(new Error(secret));
  const response = await edge.request("/", { headers: { "X-Request-Id": "request-2" } });
  assert.equal(response.status, 500);
  const text = await response.text();
  assert.ok(!text.includes("SELECT") && !text.includes("Error"), text);
  assert.equal(JSON.parse(text).type, "/problems/internal");
  assert.equal(logged[0]?.requestId, "request-2");
  assert.match(String(logged[0]?.error), /SELECT/);
});

Deno.test("createEdge: an engine out of reach is a 503 with Retry-After", async () => {
  const outages = [
    new LogUnavailable("kafka:9092"),
    new StoreUnavailable("s3:9000"),
    new SqlError("08000", "connect ECONNREFUSED"),
    new SqlError("57P01", "terminating connection due to administrator command"),
    new Overloaded("64 waiting"),
  ];
  for (const outage of outages) {
    const response = await throwing(outage).edge.request("/");
    assert.equal(response.status, 503, outage.name);
    assert.match(response.headers.get("retry-after") ?? "", /^\d+$/);
    assert.ok(!(await response.text()).includes(outage.message));
  }
  const response = await throwing(new SqlError("42P01", "no such table")).edge.request("/");
  assert.equal(response.status, 500, "a wrong statement does not mend itself");
});

Deno.test("createEdge: nothing there is a 404, a wrong method a 405 that lists the right ones", async () => {
  const edge = testEdge();
  edge.get("/things/:id", (c) => c.text("thing"));
  edge.delete("/things/:id", (c) => c.body(null, 204));
  const missing = await edge.request("/nothing");
  assert.equal(missing.status, 404);
  assert.equal(await problemCode(missing), "not-found");
  const wrong = await edge.request("/things/1", { method: "POST" });
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "GET, HEAD, DELETE");
  assert.equal(await problemCode(wrong), "method-not-allowed");
});

Deno.test("createEdge: HEAD answers as GET does, without the body", async () => {
  const edge = testEdge();
  edge.get("/thing", (c) => c.json({ a: 1 }));
  const response = await edge.request("/thing", { method: "HEAD" });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.equal(await response.text(), "");
});

Deno.test("createEdge: every answer bears security headers; a page keeps its own policy", async () => {
  const edge = testEdge();
  edge.get("/page", (c) => c.html("<p>", 200, { "Content-Security-Policy": "img-src 'self'" }));
  const page = await edge.request("/page");
  assert.equal(page.headers.get("content-security-policy"), "img-src 'self'");
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  const missing = await edge.request("/nothing");
  assert.match(missing.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  assert.equal(missing.headers.get("cache-control"), "no-store");
});

Deno.test("createEdge: one schema describes a route and checks it, by where the value stood", async () => {
  const edge = testEdge();
  const route = createRoute({
    method: "post",
    path: "/things/{id}",
    request: {
      params: z.object({ id: z.uuidv7() }),
      query: z.object({ limit: z.coerce.number().max(10).optional() }),
      body: {
        content: { "application/json": { schema: z.strictObject({ name: z.string().max(3) }) } },
        required: true,
      },
    },
    responses: { 204: { description: "done" } },
  });
  edge.openapi(route, (c) => c.body(null, 204));
  const id = "01900000-0000-7000-8000-000000000001";
  const post = (path: string, body: unknown) =>
    edge.request(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  assert.equal((await post(`/things/${id}`, { name: "ok" })).status, 204);
  const badId = await post("/things/1", { name: "ok" });
  assert.equal(badId.status, 404);
  const badQuery = await post(`/things/${id}?limit=11`, { name: "ok" });
  assert.equal(badQuery.status, 400);
  assert.equal(await problemCode(badQuery), "invalid-query");
  const badBody = await post(`/things/${id}`, { name: "long", admin: true });
  assert.equal(badBody.status, 422);
  const { type, errors } = await badBody.json();
  assert.equal(type, "/problems/invalid-body");
  assert.equal(errors[0].path, "name");
  assert.match(errors[1].message, /admin/);
});
