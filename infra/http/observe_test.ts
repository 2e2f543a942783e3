import assert from "node:assert/strict";
import { testEdge } from "./testing.ts";

const edge = testEdge().get("/", (c) => c.text(c.get("requestId")));

Deno.test("observe: a sane request id is kept and echoed", async () => {
  const response = await edge.request("/", { headers: { "X-Request-Id": "trace:0af7-65.1" } });
  assert.equal(response.headers.get("x-request-id"), "trace:0af7-65.1");
  assert.equal(await response.text(), "trace:0af7-65.1");
});

Deno.test("observe: any other is replaced by one of ours", async () => {
  for (const id of ["", "short", "has spaces in it", "x".repeat(129), '{"log":"injection"}']) {
    const response = await edge.request("/", { headers: { "X-Request-Id": id } });
    assert.match(response.headers.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/, id);
    await response.body?.cancel();
  }
});
