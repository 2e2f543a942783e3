import assert from "node:assert/strict";
import { authenticate } from "./authenticate.ts";
import { callerOf } from "./env.ts";
import { problemCode, testEdge } from "./testing.ts";

function request(authorization: string | undefined, stands = true) {
  const caller = { accountId: "ada", sessionId: "session" };
  const edge = testEdge();
  const middleware = authenticate({
    accessTokens: { verify: (token) => Promise.resolve(token === "good" ? caller : undefined) },
    sessions: { stands: () => Promise.resolve(stands) },
  });
  edge.get("/", middleware, (c) => c.text(callerOf(c).accountId));
  return edge.request(
    "/",
    authorization === undefined ? {} : {
      headers: { Authorization: authorization },
    },
  );
}

Deno.test("authenticate: a token that verifies, of a session that stands, names its caller", async () => {
  for (const authorization of ["Bearer good", "bearer good"]) {
    const response = await request(authorization);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "ada");
  }
});

Deno.test("authenticate: anything else is a 401 that says how", async () => {
  const refused = [
    await request(undefined),
    await request("Bearer bad"),
    await request("Basic good"),
    await request("Bearer"),
    await request("Bearer good", false),
  ];
  for (const response of refused) {
    assert.equal(response.status, 401);
    assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer realm=/);
    assert.equal(await problemCode(response), "unauthenticated");
  }
});

Deno.test("callerOf: a route that is not behind authenticate has no caller", async () => {
  const edge = testEdge();
  edge.get("/", (c) => c.text(callerOf(c).accountId));
  assert.equal((await edge.request("/")).status, 401);
});
