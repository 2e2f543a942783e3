import assert from "node:assert/strict";
import { jsonWithETag, tagged } from "./etag.ts";
import { testEdge } from "./testing.ts";

function get(json: string, ifNoneMatch?: string) {
  const edge = testEdge().get("/", (c) => jsonWithETag(c, tagged(json)));
  return edge.request(
    "/",
    ifNoneMatch === undefined ? {} : {
      headers: { "If-None-Match": ifNoneMatch },
    },
  );
}

Deno.test("jsonWithETag: the same text has the same tag, another text another", async () => {
  const [one, same, other] = await Promise.all([get("[1]"), get("[1]"), get("[2]")]);
  assert.equal(one.headers.get("etag"), same.headers.get("etag"));
  assert.notEqual(one.headers.get("etag"), other.headers.get("etag"));
  assert.equal(one.headers.get("content-type"), "application/json");
  assert.equal(await one.text(), "[1]");
});

Deno.test("jsonWithETag: what the client has already is a 304 without a body", async () => {
  const etag = (await get("[1]")).headers.get("etag") ?? "";
  for (const header of [etag, etag.slice(2), `"x", ${etag}`, "*"]) {
    const response = await get("[1]", header);
    assert.equal(response.status, 304, header);
    assert.equal(await response.text(), "");
    assert.equal(response.headers.get("etag"), etag);
  }
  assert.equal((await get("[2]", etag)).status, 200);
});
