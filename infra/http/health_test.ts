import assert from "node:assert/strict";
import { Registry } from "prom-client";
import { type Checks, health } from "./health.ts";
import { testEdge } from "./testing.ts";

function edge(checks: Checks, timeout?: number) {
  const metrics = new Registry();
  return testEdge({ metrics }).route("/", health({ checks, metrics, timeout }));
}

const well = () => Promise.resolve();

Deno.test("health: /healthz asks nothing of the engines", async () => {
  const response = await edge({ log: () => Promise.reject(new Error()) }).request("/healthz");
  assert.equal(response.status, 200);
});

Deno.test("health: /readyz is ready when every engine answers", async () => {
  const response = await edge({ log: well, sql: well }).request("/readyz");
  assert.equal(response.status, 200);
  assert.deepEqual((await response.json()).checks, { log: "ok", sql: "ok" });
});

Deno.test("health: /readyz names engines that fail or do not answer in time, not why", async () => {
  const checks = {
    log: well,
    sql: () => Promise.reject(new Error("password authentication failed")),
    store: () => new Promise<void>(() => {}),
  };
  const response = await edge(checks, 5).request("/readyz");
  assert.equal(response.status, 503);
  const text = await response.text();
  assert.deepEqual(JSON.parse(text).checks, { log: "ok", sql: "failed", store: "failed" });
  assert.ok(!text.includes("password"));
});

Deno.test("health: /metrics counts requests by route pattern, method and status", async () => {
  const app = edge({}).get("/things/:id", (c) => c.text("x"));
  for (const path of ["/things/1", "/things/2", "/nothing/3"]) {
    await (await app.request(path)).body?.cancel();
  }
  const text = await (await app.request("/metrics")).text();
  const count = "shutterlog_http_request_duration_seconds_count";
  assert.ok(text.includes(`${count}{method="GET",route="/things/:id",status="200"} 2`), text);
  assert.ok(text.includes(`${count}{method="GET",route="unmatched",status="404"} 1`), text);
  assert.ok(!text.includes("/things/1"));
});
