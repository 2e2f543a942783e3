import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { mapLimited, percentile } from "./concurrency.ts";
import { fill, type Filled } from "./fill.ts";
import { people, smallWorld } from "./people.ts";
import { Random } from "../photos/random.ts";

/** A server that answers by the contract, remembers what it was told and refuses what is wrong. */
class FakeServer {
  readonly handles = new Set<string>();
  readonly wrong: string[] = [];
  readonly uploads = new Map<string, { owner: string; bytes: number; completed: boolean }>();
  readonly posts = new Map<string, { author: string; mediaIds: string[] }>();
  readonly counts = { follow: 0, like: 0, comments: 0 };
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #busy = 1;

  constructor() {
    const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
    this.#server = Deno.serve(options, (request) => this.#answer(request));
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  close(): Promise<void> {
    return this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const bytes = await request.bytes();
    const viewer = request.headers.get("Authorization")?.slice("Bearer ".length) ?? "";
    if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
      this.wrong.push(`${pathname} came without an Idempotency-Key`);
    }
    if (pathname.startsWith("/store/")) return this.#stored(pathname.slice(7), request, bytes);
    const body = bytes.length > 0 ? JSON.parse(new TextDecoder().decode(bytes)) : {};
    const [, , kind = "", id = "", action = ""] = pathname.split("/");
    if (kind === "accounts" && id === "") return this.#registered(body);
    if (viewer === "") return new Response(null, { status: 401 });
    switch (`${request.method} ${kind}/${action}`) {
      case "PATCH me/":
        return Response.json({ account: { id: viewer } });
      case "POST media/":
        return this.#signed(viewer);
      case "POST media/complete":
        return this.#completed(id);
      case "GET media/":
        return Response.json({ mediaId: id, status: "ready" });
      case "POST posts/":
        return this.#posted(viewer, body);
      case "PUT accounts/follow":
        if (id === viewer) this.wrong.push("someone follows themselves");
        this.counts.follow++;
        return new Response(null, { status: 204 });
      case "PUT posts/like":
        if (this.posts.get(id)?.author === viewer) this.wrong.push("someone likes their own post");
        this.counts.like++;
        return new Response(null, { status: 204 });
      case "POST posts/comments":
        this.counts.comments++;
        return Response.json({ commentId: crypto.randomUUID() }, { status: 201 });
      default:
        this.wrong.push(`${request.method} ${pathname} was not foreseen`);
        return new Response(null, { status: 404 });
    }
  }

  #registered({ handle }: { handle: string }): Response {
    if (this.#busy-- > 0) {
      return new Response(null, { status: 429, headers: { "Retry-After": "0" } });
    }
    if (this.handles.has(handle)) {
      const headers = { "content-type": "application/problem+json" };
      return Response.json({ type: "/problems/handle-taken" }, { status: 409, headers });
    }
    this.handles.add(handle);
    const session = { accessToken: handle, refreshToken: "", expiresIn: 900 };
    return Response.json({ ...session, account: { id: handle, handle } }, { status: 201 });
  }

  #signed(owner: string): Response {
    const mediaId = crypto.randomUUID();
    this.uploads.set(mediaId, { owner, bytes: 0, completed: false });
    const url = `${this.baseUrl}/store/${mediaId}`;
    const upload = { method: "PUT", url, headers: { "x-signed": mediaId }, expiresAt: "" };
    return Response.json({ mediaId, upload }, { status: 201 });
  }

  #stored(mediaId: string, request: Request, bytes: Uint8Array): Response {
    const upload = this.uploads.get(mediaId);
    if (!upload || request.headers.get("x-signed") !== mediaId) {
      this.wrong.push("a PUT came without the headers it was signed for");
      return new Response(null, { status: 403 });
    }
    upload.bytes = bytes.length;
    return new Response();
  }

  #completed(mediaId: string): Response {
    const upload = this.uploads.get(mediaId);
    if (!upload?.bytes) this.wrong.push("an upload was completed before it was stored");
    else upload.completed = true;
    return Response.json({ mediaId, status: "processing" }, { status: 202 });
  }

  #posted(author: string, { mediaIds, altTexts }: {
    mediaIds: string[];
    altTexts: Record<string, string>;
  }): Response {
    for (const mediaId of mediaIds) {
      const upload = this.uploads.get(mediaId);
      if (upload?.owner !== author || !upload.completed || !altTexts[mediaId]) {
        this.wrong.push("a post shows what its author has not uploaded, or says nothing of it");
      }
    }
    const postId = crypto.randomUUID();
    this.posts.set(postId, { author, mediaIds });
    return Response.json({ postId }, { status: 201 });
  }
}

Deno.test("fill: keeps to the contract, and works a second time", async () => {
  const server = new FakeServer();
  try {
    const run = (): Promise<Filled> =>
      fill({
        baseUrl: server.baseUrl,
        accounts: 4,
        photos: 2,
        seed: 1,
        password: "a password",
        signal: new AbortController().signal,
      });
    const first = await run();
    const second = await run();
    assert.deepEqual(server.wrong, []);
    assert.equal(server.handles.size, 8);
    assert.equal(server.uploads.size, 4);
    assert.equal(first.readyAfter.length, 2);
    assert.equal([...server.posts.values()].flatMap(({ mediaIds }) => mediaIds).length, 4);
    assert.equal(server.counts.follow, first.follows + second.follows);
    assert.equal(server.counts.like, first.likes + second.likes);
    assert.equal(server.counts.comments, first.comments + second.comments);
    assert(first.follows > 0);
  } finally {
    await server.close();
  }
});

const demo = fileURLToPath(new URL("../demo.ts", import.meta.url));

Deno.test("deno task demo: says what to start when nothing answers", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", demo, "--base-url", `http://127.0.0.1:${port}`],
  }).output();
  assert.equal(code, 1);
  assert.match(
    new TextDecoder().decode(stderr),
    new RegExp(`nothing answers at http://127.0.0.1:${port}: start it with deno task dev`),
  );
});

Deno.test("people: handles differ and are handles", () => {
  const handles = people(new Random(5), 500).map(({ handle }) => handle);
  assert.equal(new Set(handles).size, 500);
  for (const handle of handles) assert.match(handle, /^[a-z][a-z.]{1,28}[a-z0-9]$/);
});

Deno.test("smallWorld: each follows a few others, nobody themselves or anyone twice", () => {
  for (const count of [2, 3, 12, 100]) {
    const ties = smallWorld(new Random(count), count);
    assert.equal(new Set(ties.map(String)).size, ties.length);
    assert(ties.every(([follower, followee]) => follower !== followee));
    assert.equal(new Set(ties.map(([follower]) => follower)).size, count);
  }
});

Deno.test("mapLimited: keeps order and limit, and begins nothing more after a failure", async () => {
  let under = 0;
  let most = 0;
  const doubled = await mapLimited([1, 2, 3, 4, 5], 2, async (item) => {
    most = Math.max(most, ++under);
    await Promise.resolve();
    under--;
    return item * 2;
  });
  assert.deepEqual(doubled, [2, 4, 6, 8, 10]);
  assert.equal(most, 2);

  const begun: number[] = [];
  const failing = mapLimited([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    await Promise.resolve();
    if (item === 1) throw new Error("on purpose");
  });
  await assert.rejects(failing, /on purpose/);
  assert(begun.length <= 3, `began ${begun}`);
});

Deno.test("percentile: the nearest rank", () => {
  const values = [30, 10, 20, 40];
  assert.equal(percentile(values, 0.5), 20);
  assert.equal(percentile(values, 0.99), 40);
  assert.equal(percentile([], 0.5), undefined);
});
