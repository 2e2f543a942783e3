import assert from "node:assert/strict";
import { startGateway } from "../../../scripts/stack/nginx.ts";
import { freePorts } from "../../../scripts/stack/ports.ts";
import { problems } from "../../http/problem.ts";
import { wherePresent } from "./testing.ts";

/** An edge that tells what it was asked. */
function edge(name: string) {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: freePorts(1)[0] ?? 0, onListen() {} },
    async (request) => {
      const body = await request.text();
      const { pathname, search } = new URL(request.url);
      return Response.json({
        name,
        method: request.method,
        path: pathname + search,
        bytes: body.length,
        headers: Object.fromEntries(request.headers),
      });
    },
  );
  return { address: `127.0.0.1:${server.addr.port}`, stop: () => server.shutdown() };
}

interface Told {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly bytes: number;
  readonly headers: Record<string, string>;
}

async function gatewayUnderTest() {
  const cleanup = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755);
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  try {
    const edges = ["commands-1", "commands-2", "queries-1", "queries-2"].map(edge);
    for (const { stop } of edges) cleanup.defer(stop);
    const addresses = edges.map(({ address }) => address);
    const gateway = await startGateway({
      folder,
      commands: addresses.slice(0, 2),
      queries: addresses.slice(2),
    });
    cleanup.defer(() => gateway.stop());
    const ask = async (path: string, init?: RequestInit) => {
      const answer = await fetch(gateway.url + path, init);
      return { answer, text: await answer.text() };
    };
    const told = async (path: string, init?: RequestInit): Promise<Told> =>
      JSON.parse((await ask(path, init)).text);
    return {
      url: gateway.url,
      edges,
      ask,
      told,
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

await wherePresent("the gateway", ["nginx"], () => {
  Deno.test("gateway: what reads goes to the query edges, what changes to the command edges", async () => {
    await using gateway = await gatewayUnderTest();
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      const { name, path, ...rest } = await gateway.told("/v1/posts/a%2Fb?x=%20", { method });
      assert.match(name, /^commands-/, method);
      assert.equal(rest.method, method);
      assert.equal(path, "/v1/posts/a%2Fb?x=%20", "as it was sent");
    }
    assert.match((await gateway.told("/v1/feed?limit=5")).name, /^queries-/);
    assert.equal((await gateway.ask("/v1/feed", { method: "HEAD" })).answer.status, 200);
    assert.match((await gateway.told("/docs")).name, /^queries-/);
  });

  Deno.test("gateway: both edges of a pool get work, and a reader does not notice when one goes", async () => {
    await using gateway = await gatewayUnderTest();
    const names = async () => {
      const seen = new Set<string>();
      for (let times = 0; times < 20; times++) seen.add((await gateway.told("/v1/feed")).name);
      return [...seen].sort();
    };
    assert.deepEqual(await names(), ["queries-1", "queries-2"]);
    await gateway.edges[2]?.stop();
    assert.deepEqual(await names(), ["queries-2"]);
  });

  Deno.test("gateway: the client's address is appended, never taken from the client", async () => {
    await using gateway = await gatewayUnderTest();
    const { headers } = await gateway.told("/v1/me", {
      headers: { "x-forwarded-for": "203.0.113.9" },
    });
    assert.equal(headers["x-forwarded-for"], "203.0.113.9, 127.0.0.1");
    assert.equal(headers["x-forwarded-proto"], "http");
    assert.equal(headers["host"], new URL(gateway.url).host);
  });

  Deno.test("gateway: a sane request id passes, any other is replaced", async () => {
    await using gateway = await gatewayUnderTest();
    const idFor = async (id?: string) =>
      (await gateway.told("/", id === undefined ? {} : { headers: { "x-request-id": id } }))
        .headers["x-request-id"] ?? "";
    assert.equal(await idFor("0193-abc:def.1"), "0193-abc:def.1");
    for (const id of [undefined, "short", "has a space in it", "x".repeat(200)]) {
      assert.match(await idFor(id), /^[0-9a-f]{32}$/);
    }
    const headers = { authorization: "Bearer t", "await-position": "p", "idempotency-key": "k" };
    const passed = (await gateway.told("/v1/posts", { method: "POST", headers })).headers;
    for (const [name, value] of Object.entries(headers)) assert.equal(passed[name], value);
  });

  Deno.test("gateway: a body over 64 KiB is refused as the edges would refuse it", async () => {
    await using gateway = await gatewayUnderTest();
    const post = (bytes: number) =>
      gateway.ask("/v1/posts", { method: "POST", body: "x".repeat(bytes) });
    assert.equal(JSON.parse((await post(65_536)).text).bytes, 65_536);
    const { answer, text } = await post(65_537);
    assertProblem(answer, text, "body-too-large", 413);
  });

  Deno.test("gateway: no edge, no answer but a problem that may pass; metrics are for nobody", async () => {
    await using gateway = await gatewayUnderTest();
    const metrics = await gateway.ask("/metrics");
    assertProblem(metrics.answer, metrics.text, "not-found", 404);
    for (const { stop } of gateway.edges) await stop();
    for (const method of ["GET", "POST"]) {
      const { answer, text } = await gateway.ask("/v1/feed", { method });
      assertProblem(answer, text, "unavailable", 503);
      assert.equal(answer.headers.get("retry-after"), "1");
    }
    const alive = await gateway.ask("/healthz");
    assert.equal(alive.text, "ok\n");
  });

  Deno.test("gateway: one address holds 200 connections at work, and the next is told to wait", async () => {
    await using gateway = await gatewayUnderTest();
    const { hostname, port } = new URL(gateway.url);
    // Each has said that a body comes, and keeps it back.
    const head = "POST /v1/posts HTTP/1.1\r\nHost: gateway\r\nContent-Length: 10\r\n\r\n";
    const held: Deno.TcpConn[] = [];
    const hold = async (count: number) => {
      await Promise.all(Array.from({ length: count }, async () => {
        const connection = await Deno.connect({ hostname, port: Number(port) });
        held.push(connection);
        await connection.write(new TextEncoder().encode(head));
      }));
    };
    try {
      await hold(150);
      assert.equal((await gateway.ask("/v1/feed")).answer.status, 200, "the 151st is served");
      // Some over, since a question in between may take the last place, and more while nginx, which
      // gives up on a body after ten seconds, has been too busy to take in all of them.
      await hold(70);
      const answered = new Map<number, number>();
      for (const deadline = Date.now() + 30_000; !answered.has(429);) {
        const { answer, text } = await gateway.ask("/v1/feed");
        answered.set(answer.status, (answered.get(answer.status) ?? 0) + 1);
        if (answer.status === 429) assertProblem(answer, text, "too-many-requests", 429);
        else if (Date.now() > deadline) {
          assert.fail(`of ${held.length} none is refused: ${JSON.stringify([...answered])}`);
        } else if (held.length < 1000) await hold(10);
      }
    } finally {
      for (const connection of held) connection.close();
    }
  });
});

function assertProblem(
  answer: Response,
  text: string,
  code: keyof typeof problems,
  status: number,
): void {
  assert.equal(answer.status, status);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.headers.get("cache-control"), "no-store");
  const { instance, ...document } = JSON.parse(text);
  assert.deepEqual(document, { type: `/problems/${code}`, ...problems[code] });
  assert.equal(instance, answer.headers.get("x-request-id"));
}
