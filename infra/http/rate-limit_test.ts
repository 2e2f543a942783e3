import assert from "node:assert/strict";
import { type RateLimiterAbstract, RateLimiterMemory } from "rate-limiter-flexible";
import { silentLogger } from "../telemetry/logger.ts";
import { createRateLimits, rateLimit } from "./rate-limit.ts";
import { problemCode, TestCounts, testEdge } from "./testing.ts";

const queries = { name: "queries", quota: 2, window: 60 };

function edge(options: Partial<Parameters<typeof createRateLimits>[0]> = {}, trustedProxies = 0) {
  const limits = createRateLimits({ logger: silentLogger, policies: { queries }, ...options });
  return testEdge({ trustedProxies })
    .get("/", rateLimit(limits.queries), (c) => c.text("x"));
}

Deno.test("rateLimit: says what is left, then refuses with Retry-After", async () => {
  using counts = new TestCounts();
  const app = edge(counts);
  const first = await app.request("/");
  assert.equal(first.headers.get("ratelimit-policy"), '"queries";q=2;w=60');
  assert.match(first.headers.get("ratelimit") ?? "", /^"queries";r=1;t=\d+$/);
  assert.equal((await app.request("/")).status, 200);
  const third = await app.request("/");
  assert.equal(third.status, 429);
  assert.match(third.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
  assert.match(third.headers.get("ratelimit") ?? "", /r=0/);
  assert.equal(await problemCode(third), "too-many-requests");
});

Deno.test("rateLimit: counts each client apart, and no header of theirs buys a new count", async () => {
  const from = (app: ReturnType<typeof edge>, forwarded: string, remote: string) =>
    app.request("/", { headers: { "X-Forwarded-For": forwarded } }, {
      remoteAddr: { transport: "tcp", hostname: remote, port: 1 },
    });
  using counts = new TestCounts();
  const direct = edge(counts);
  for (const claim of ["1.1.1.1", "2.2.2.2"]) await from(direct, claim, "10.0.0.1");
  assert.equal((await from(direct, "3.3.3.3", "10.0.0.1")).status, 429);
  assert.equal((await from(direct, "3.3.3.3", "10.0.0.2")).status, 200);
  const proxied = edge(counts, 1);
  for (const claim of ["9.9.9.9", "8.8.8.8"]) await from(proxied, `${claim}, 1.1.1.1`, "10.0.0.1");
  assert.equal((await from(proxied, "7.7.7.7, 1.1.1.1", "10.0.0.1")).status, 429);
  assert.equal((await from(proxied, "1.1.1.1, 2.2.2.2", "10.0.0.1")).status, 200);
});

Deno.test("createRateLimits: scale multiplies quotas, and 0 switches them off", async () => {
  using counts = new TestCounts();
  const scaled = await edge({ scale: 5, store: counts.store }).request("/");
  assert.equal(scaled.headers.get("ratelimit-policy"), '"queries";q=10;w=60');
  const off = edge({ scale: 0 });
  for (let n = 0; n < 5; n++) {
    const response = await off.request("/");
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("ratelimit"), null);
  }
});

Deno.test("rateLimit: requests pass while the store of counts cannot be reached", async () => {
  class Unreachable extends RateLimiterMemory {
    override consume(): Promise<never> {
      return Promise.reject(new Error("ECONNREFUSED"));
    }
  }
  const store = (): RateLimiterAbstract => new Unreachable({ points: 1, duration: 1 });
  assert.equal((await edge({ store }).request("/")).status, 200);
});

Deno.test("rateLimit: by leases, exactly the quota passes, and the store is asked once for each", async () => {
  using counts = new TestCounts();
  let asked = 0;
  const store = (policy: Parameters<typeof counts.store>[0]) => {
    const limiter = counts.store(policy);
    const consume = limiter.consume.bind(limiter);
    limiter.consume = (...parameters) => (asked++, consume(...parameters));
    return limiter;
  };
  const policies = { queries: { name: "queries", quota: 1_000, window: 60, lease: 7 } };
  const app = edge({ store, policies });
  const statuses: number[] = [];
  for (let n = 0; n < 60; n++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => app.request("/")));
    statuses.push(...answers.map(({ status }) => status));
  }
  assert.equal(statuses.filter((status) => status === 200).length, 1_000);
  assert.equal(statuses.indexOf(429), 1_000, "none is refused before");
  assert.ok(asked < 1_000 / 7 + 220, `${asked} times`);
});

Deno.test("rateLimit: two processes let no more pass than the quota, and fewer by a lease at most", async () => {
  using counts = new TestCounts();
  const shared = counts.store({ name: "queries", quota: 1_000, window: 60 });
  const policies = { queries: { name: "queries", quota: 1_000, window: 60, lease: 10 } };
  const apps = [edge({ store: () => shared, policies }), edge({ store: () => shared, policies })];
  let passed = 0;
  for (let n = 0; n < 1_100; n++) {
    const response = await apps[n % 3 ? 0 : 1]?.request("/");
    if (response?.status === 200) passed += 1;
  }
  assert.ok(passed <= 1_000 && passed >= 1_000 - 9, `${passed} passed`);
});
