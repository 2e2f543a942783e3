import assert from "node:assert/strict";
import { testEdge } from "./testing.ts";

function edge(...corsOrigins: string[]) {
  return testEdge({ corsOrigins }).get("/", (c) => c.text("x"));
}

Deno.test("cors: an allowed origin may read the answer and its headers; others may not", async () => {
  const from = (origin: string) =>
    edge("https://a.example").request("/", { headers: { Origin: origin } });
  const allowed = await from("https://a.example");
  assert.equal(allowed.headers.get("access-control-allow-origin"), "https://a.example");
  assert.match(allowed.headers.get("access-control-expose-headers") ?? "", /Position-Reached/);
  assert.equal(allowed.headers.get("vary"), "Origin");
  const other = await from("https://b.example");
  assert.equal(other.status, 200);
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  assert.equal(other.headers.get("vary"), "Origin", "or a cache would mix the two up");
});

Deno.test("cors: a preflight is answered for routes and methods alike", async () => {
  const response = await edge("*").request("/", {
    method: "OPTIONS",
    headers: { Origin: "https://a.example", "Access-Control-Request-Method": "PATCH" },
  });
  assert.equal(response.status, 204);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  assert.match(response.headers.get("access-control-allow-methods") ?? "", /PATCH/);
  assert.match(response.headers.get("access-control-allow-headers") ?? "", /Idempotency-Key/);
});

Deno.test("cors: problems can be read across origins too", async () => {
  const response = await edge("*").request("/none", { headers: { Origin: "https://a.example" } });
  assert.equal(response.status, 404);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
});
