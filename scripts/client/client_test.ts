import assert from "node:assert/strict";
import { ShutterlogClient } from "./client.ts";
import { PositionKeeper } from "./position.ts";
import { ProblemError, ServerUnreachable } from "./problem.ts";
import { Progress, table } from "./terminal.ts";

type Handler = (request: Request) => Response | Promise<Response>;

/** Runs `work` against a server that gives these answers, one after the other. */
async function against(
  answers: Handler[],
  work: (baseUrl: string) => Promise<void>,
): Promise<Request[]> {
  const seen: Request[] = [];
  const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
  const server = Deno.serve(options, async (request) => {
    const { method, headers, url } = request;
    const body = await request.bytes();
    seen.push(new Request(url, { method, headers, ...(body.length > 0 && { body }) }));
    return answers.shift()?.(request) ?? new Response("no answer was foreseen", { status: 500 });
  });
  try {
    await work(`http://127.0.0.1:${server.addr.port}/`);
  } finally {
    await server.shutdown();
  }
  return seen;
}

const json = (body: unknown, init: ResponseInit = {}) => () => Response.json(body, init);
const busy = (seconds: number) => () =>
  new Response(null, { status: 429, headers: { "Retry-After": String(seconds) } });
const session = { accessToken: "token", refreshToken: "again", expiresIn: 900, account: {} };

Deno.test("ShutterlogClient: a query awaits what its own commands have caused", async () => {
  const [, first, second, alone] = await against([
    json(session, { status: 201, headers: { Position: "accounts:3:7" } }),
    json({ postId: "p" }, { status: 201, headers: { Position: "posts:1:5,accounts:3:6" } }),
    json({ items: [], nextCursor: null }, { headers: { "Position-Reached": "true" } }),
    json({ items: [], nextCursor: null }),
  ], async (baseUrl) => {
    const client = new ShutterlogClient(baseUrl);
    await client.register({ handle: "ada", password: "a long password" });
    await client.createPost({ mediaIds: ["m"] });
    await client.feed({ await: true, limit: 3 });
    assert.equal(client.lastAnswer?.headers.get("Position-Reached"), "true");
    await client.feed();
  });
  assert.equal(first?.headers.get("Authorization"), "Bearer token");
  assert.match(first?.headers.get("Idempotency-Key") ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(second?.headers.get("Await-Position"), "posts:1:5,accounts:3:7");
  assert.equal(new URL(second?.url ?? "").search, "?limit=3");
  assert.equal(alone?.headers.get("Await-Position"), null);
});

Deno.test("ShutterlogClient: waits out Retry-After and sends the same request again", async () => {
  const waited: number[] = [];
  const requests = await against([
    busy(0),
    busy(0),
    json({ commentId: "c" }, { status: 201 }),
  ], async (baseUrl) => {
    const client = new ShutterlogClient(baseUrl, {
      patience: 1,
      onWait: (seconds) => waited.push(seconds),
    });
    assert.deepEqual(await client.comment("p/q", "fine"), { commentId: "c" });
  });
  assert.deepEqual(waited, [0, 0]);
  assert.equal(new Set(requests.map(({ headers }) => headers.get("Idempotency-Key"))).size, 1);
  assert.equal(new URL(requests[0]?.url ?? "").pathname, "/v1/posts/p%2Fq/comments");
  const bodies = await Promise.all(requests.map((request) => request.text()));
  assert.deepEqual(new Set(bodies), new Set(['{"text":"fine"}']));
});

Deno.test("ShutterlogClient: an answer that breaks off is none", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answering = (async () => {
    using connection = await listener.accept();
    await connection.read(new Uint8Array(4096));
    const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    await connection.write(new TextEncoder().encode(`${head}{"items":`));
  })();
  const client = new ShutterlogClient(`http://127.0.0.1:${listener.addr.port}`);
  await assert.rejects(client.feed(), ServerUnreachable);
  await answering;
});

Deno.test("ShutterlogClient: a wait beyond its patience is the caller's to see", async () => {
  await against([busy(30)], async (baseUrl) => {
    const client = new ShutterlogClient(baseUrl, { patience: 29 });
    await assert.rejects(client.feed(), (error) => {
      assert(error instanceof ProblemError);
      assert.equal(error.status, 429);
      assert.equal(error.headers.get("Retry-After"), "30");
      return true;
    });
  });
});

Deno.test("ShutterlogClient: a problem document becomes an error that says it all", async () => {
  const problem = {
    type: "/problems/invalid-body",
    title: "The body does not fit its schema",
    detail: "two fields are wrong",
    errors: [{ path: "handle", message: "is too short" }],
  };
  const headers = { "content-type": "application/problem+json" };
  await against([json(problem, { status: 422, headers })], async (baseUrl) => {
    const client = new ShutterlogClient(baseUrl);
    await assert.rejects(client.register({ handle: "a", password: "b" }), (error) => {
      assert(error instanceof ProblemError);
      assert.equal(error.code, "invalid-body");
      assert.equal(
        error.message,
        "POST /v1/accounts → 422 The body does not fit its schema: two fields are wrong\n" +
          "  handle: is too short",
      );
      return true;
    });
    assert.equal(client.session, undefined);
  });
});

Deno.test("ShutterlogClient: says where nothing answers", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const client = new ShutterlogClient(`http://127.0.0.1:${port}`);
  await assert.rejects(client.feed(), (error) => {
    assert(error instanceof ServerUnreachable);
    assert.equal(error.message, `nothing answers at http://127.0.0.1:${port}`);
    return true;
  });
});

Deno.test("ShutterlogClient: uploads with the method, URL and headers it was given", async () => {
  const bytes = new Uint8Array([1, 2, 3]);
  let base = "";
  const [, put] = await against([
    () =>
      Response.json({
        mediaId: "m",
        upload: {
          method: "PUT",
          url: `${base}store/key?signature=s`,
          headers: { "Content-Type": "image/jpeg", "x-amz-meta-a": "b" },
          expiresAt: "2026-01-01T00:00:00Z",
        },
      }, { status: 201 }),
    () => new Response(null, { status: 200 }),
    json({ mediaId: "m", status: "processing" }, { status: 202 }),
    json({ mediaId: "m", status: "processing" }),
    json({ mediaId: "m", status: "rejected", reason: "corrupt" }),
  ], async (baseUrl) => {
    base = baseUrl;
    const client = new ShutterlogClient(baseUrl);
    client.session = { ...session, account: { id: "", handle: "", displayName: "", bio: "" } };
    assert.equal(await client.upload("image/jpeg", bytes), "m");
    assert.equal((await client.waitForMedia("m", { everyMs: 1 })).reason, "corrupt");
  });
  assert.equal(put?.method, "PUT");
  assert.equal(put?.headers.get("Content-Type"), "image/jpeg");
  assert.equal(put?.headers.get("x-amz-meta-a"), "b");
  assert.equal(put?.headers.get("Authorization"), null, "the store gets no access token");
  assert.deepEqual(await put?.bytes(), bytes);
});

Deno.test("ShutterlogClient: feedPages reads to the end and awaits once", async () => {
  const [first, second] = await against([
    json({ items: [1], nextCursor: "next" }),
    json({ items: [2], nextCursor: null }),
  ], async (baseUrl) => {
    const items = [];
    for await (const page of new ShutterlogClient(baseUrl).feedPages({ await: "posts:0:1" })) {
      items.push(...page.items);
    }
    assert.deepEqual(items, [1, 2]);
  });
  assert.equal(first?.headers.get("Await-Position"), "posts:0:1");
  assert.equal(second?.headers.get("Await-Position"), null);
  assert.equal(new URL(second?.url ?? "").search, "?cursor=next");
});

Deno.test("PositionKeeper: sends the 128 places it heard of last", () => {
  assert.equal(new PositionKeeper().header, undefined);
  const keeper = new PositionKeeper();
  for (let partition = 0; partition < 134; partition++) keeper.keep(`posts:${partition}:1`);
  keeper.keep("posts:6:0, posts:7:9");
  keeper.keep(null);
  const places = keeper.header?.split(",") ?? [];
  assert.equal(places.length, 128);
  assert.equal(places[0], "posts:8:1");
  assert.deepEqual(places.slice(-2), ["posts:6:1", "posts:7:9"]);
});

Deno.test("Progress: off a terminal it is a line at every tenth", () => {
  const lines: string[] = [];
  const progress = new Progress("photos", 40, false, (text) => lines.push(text));
  for (let step = 0; step < 40; step++) progress.step();
  progress.finish();
  assert.equal(lines.length, 10);
  assert.equal(lines.at(-1), "photos 40/40\n");
});

Deno.test("Progress: on a terminal it is one line, drawn over", () => {
  const lines: string[] = [];
  const progress = new Progress("photos", 2, true, (text) => lines.push(text));
  progress.step();
  progress.note("the server asks to wait 2 s");
  progress.step();
  progress.finish();
  assert(lines.slice(0, -1).every((line) => line.startsWith("\r\x1b[K") && !line.includes("\n")));
  const noted = lines.findIndex((line) => line.includes("wait"));
  assert.match(lines[noted] ?? "", /█{14}░{14} 1\/2 0 s the server asks to wait 2 s$/);
  assert(lines.slice(noted + 1).every((line) => !line.includes("wait")));
  assert.match(lines.at(-2) ?? "", /█{28} 2\/2 0 s$/);
  assert.equal(lines.at(-1), "\n");
});

Deno.test("table: columns line up", () => {
  assert.equal(table([["handle", 1], ["a", 20]]), "handle   1\na       20");
});
