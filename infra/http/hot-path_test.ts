import assert from "node:assert/strict";
import { Registry } from "prom-client";
import { type Fields, silentLogger } from "../telemetry/logger.ts";
import { authenticate } from "./authenticate.ts";
import { callerOf } from "./env.ts";
import { jsonWithETag, tagged } from "./etag.ts";
import { hotPath } from "./hot-path.ts";
import { Problem } from "./problem.ts";
import { createRateLimits, rateLimit } from "./rate-limit.ts";
import { problemCode, TestCounts, testEdge } from "./testing.ts";

const policies = { queries: { name: "queries", quota: 1_000, window: 60, lease: 10 } };

/** The same route twice: behind middleware, and hot. Who asks is named by their token. */
function both(options: { corsOrigins?: string[]; scale?: number } = {}) {
  const { corsOrigins = ["*"], scale = 1 } = options;
  const counts = new TestCounts();
  const logged: Fields[] = [];
  const logger = {
    ...silentLogger,
    error: (_: string, fields?: Fields) => void logged.push(fields ?? {}),
  };
  const metrics = new Registry();
  const limits = () => createRateLimits({ logger, policies, scale, store: counts.store });
  const known = new Map([["ada", { accountId: "ada", sessionId: "ada" }]]);
  const lasting = { ...tagged('{"id":"lasting"}'), lasting: true };
  const answer = (accountId: string, id: string) => {
    if (id === "lasting") return lasting;
    if (id === "gone") throw new Problem("post-not-found", "no such post");
    if (id === "broken") throw new Error("SELECT secret");
    return tagged(JSON.stringify({ id, for: accountId }));
  };

  const edge = testEdge({ corsOrigins, logger, metrics });
  edge.get(
    "/posts/:id",
    authenticate({
      accessTokens: { verify: (token) => Promise.resolve(known.get(token)) },
      sessions: { stands: () => Promise.resolve(true) },
    }),
    rateLimit(limits().queries),
    (c) => jsonWithETag(c, answer(callerOf(c).accountId, c.req.param("id"))),
  );
  const limit = limits().queries;
  const hot = hotPath({
    logger,
    metrics,
    corsOrigins,
    limit,
    accessTokens: { known: (token) => known.get(token) },
    sessions: { knownToStand: (sessionId) => sessionId !== "revoked" },
    routes: [{
      pattern: "/posts/:id",
      match: (path) => /^\/posts\/(\w+)$/.exec(path)?.[1],
      answer: ({ accountId }, id) =>
        id === "late" ? Promise.resolve().then(() => answer(accountId, id)) : answer(accountId, id),
    }],
  });
  return { counts, edge, hot, limit, logged, metrics, known };
}

function request(path: string, headers: Record<string, string> = {}, method = "GET"): Request {
  return new Request(`http://127.0.0.1:8000${path}`, {
    method,
    headers: { authorization: "Bearer ada", "x-request-id": "request-1", ...headers },
  });
}

/** A lease is to be had by the way that all requests can go. */
async function lease({ limit }: ReturnType<typeof both>, key = "ada"): Promise<void> {
  const edge = testEdge().get("/", async (c) => {
    await limit.take(c, key);
    return c.text("");
  });
  await edge.request("/");
}

Deno.test("hotPath: answers as the edge does, header for header", async () => {
  for (const options of [{}, { corsOrigins: ["https://app.example"] }, { scale: 0 }]) {
    const it = both(options);
    using _ = it.counts;
    await lease(it);
    await it.edge.fetch(request("/posts/1"));
    const ids = ["1", "late", "lasting", "lasting", "gone", "broken"];
    for (const [nth, id] of ids.entries()) {
      const path = `/posts/${id}`;
      const named = () => request(path, { "x-request-id": `request-${nth}` });
      const [hot, edge] = [await it.hot(named()), await it.edge.fetch(named())];
      assert.ok(hot);
      assert.equal(hot.status, edge.status);
      assert.deepEqual(Object.fromEntries(hot.headers), Object.fromEntries(edge.headers), path);
      assert.equal(await hot.text(), await edge.text());
    }
    const text = await it.metrics.metrics();
    for (const status of [200, 404, 500]) {
      const count = status === 200 ? 9 : 2;
      const series = `method="GET",route="/posts/:id",status="${status}"} ${count}`;
      assert.ok(text.includes(`_count{${series}`), series);
    }
    assert.equal(it.logged.length, 2, "what went wrong on our side is logged by either");
  }
});

Deno.test("hotPath: leaves to the edge what is more than plain, and counts nothing of it", async () => {
  const it = both();
  using _ = it.counts;
  it.known.set("revoked", { accountId: "ada", sessionId: "revoked" });
  await lease(it);
  const left: Request[] = [
    request("/posts/1", { origin: "https://app.example" }),
    request("/posts/1", { "await-position": "posts:0:1" }),
    request("/posts/1", { "if-none-match": "*" }),
    request("/posts/1", { authorization: "Bearer grace" }),
    request("/posts/1", { authorization: "Bearer revoked" }),
    request("/posts/1", { authorization: "Basic ada" }),
    new Request("http://127.0.0.1:8000/posts/1"),
    request("/posts/1?limit=2"),
    request("/posts/1/likes"),
    request("/posts/1", {}, "DELETE"),
    request("/posts/1", {}, "HEAD"),
  ];
  for (const one of left) assert.equal(it.hot(one), undefined, `${one.method} ${one.url}`);
  const answer = await it.hot(request("/posts/1"));
  assert.match(answer?.headers.get("ratelimit") ?? "", /r=998;/);
});

Deno.test("hotPath: without a lease the edge counts, and refuses", async () => {
  const it = both();
  using _ = it.counts;
  assert.equal(it.hot(request("/posts/1")), undefined);
  for (let n = 0; n < 100; n++) {
    await lease(it);
    while (await it.hot(request("/posts/1"))) { /* until the lease is used up */ }
  }
  const edge = testEdge().get("/", rateLimitFor(it.limit));
  const refused = await edge.request("/");
  assert.equal(refused.status, 429);
  assert.equal(await problemCode(refused), "too-many-requests");
  assert.equal(it.hot(request("/posts/1")), undefined);
});

function rateLimitFor(limit: ReturnType<typeof both>["limit"]) {
  return async (c: Parameters<typeof limit.take>[0]) => {
    await limit.take(c, "ada");
    return c.text("");
  };
}
