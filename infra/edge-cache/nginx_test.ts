import assert from "node:assert/strict";
import { edgeUnderTest, wherePresent } from "../deploy/nginx/testing.ts";
import { createNginxEdge } from "./nginx.ts";
import { EdgeUnavailable } from "./port.ts";

/** A purge side that answers with these statuses in turn, the last for ever. */
function answering(...statuses: number[]) {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    asked.push(new URL(request.url).pathname);
    const status = statuses.length > 1 ? statuses.shift() : statuses[0];
    return new Response("whatever", { status });
  });
  const edge = createNginxEdge({
    purgeUrl: `http://127.0.0.1:${server.addr.port}`,
    backOffMs: [1, 1, 1],
  });
  return { asked, edge, [Symbol.asyncDispose]: () => server.shutdown() };
}

Deno.test("createNginxEdge: what the edge does not have counts as purged", async () => {
  for (const status of [404, 403, 410]) {
    await using nginx = answering(status);
    await nginx.edge.purge(["variants/m/a b.webp"]);
    assert.deepEqual(nginx.asked, ["/variants/m/a%20b.webp"]);
  }
});

Deno.test("createNginxEdge: an edge that fails is asked again", async () => {
  await using nginx = answering(503, 500, 404);
  await nginx.edge.purge(["variants/m/a.webp"]);
  assert.equal(nginx.asked.length, 3);
});

Deno.test("createNginxEdge: an edge that goes on failing, or still has it, is said to", async () => {
  for (const status of [503, 200]) {
    await using nginx = answering(status);
    await assert.rejects(nginx.edge.purge(["variants/m/a.webp"]), EdgeUnavailable);
    assert.equal(nginx.asked.length, 4);
  }
});

Deno.test("createNginxEdge: an edge that is not there is said to be", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  const purgeUrl = `http://127.0.0.1:${listener.addr.port}`;
  const edge = createNginxEdge({ purgeUrl, backOffMs: [1] });
  await assert.rejects(edge.purge(["variants/m/a.webp"]), EdgeUnavailable);
  await edge.purge([]);
});

Deno.test("createNginxEdge: each of many is purged, so many at a time", async () => {
  let [under, most] = [0, 0];
  const asked = new Set<string>();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      most = Math.max(most, ++under);
      asked.add(new URL(request.url).pathname);
      await new Promise((resolve) => setTimeout(resolve, 2));
      under--;
      return new Response(null, { status: 404 });
    },
  );
  const keys = Array.from({ length: 300 }, (_, index) => `variants/m/${index}.webp`);
  await createNginxEdge({ purgeUrl: `http://127.0.0.1:${server.addr.port}` }).purge(keys);
  assert.equal(asked.size, 300);
  assert(most > 1 && most <= 16, `${most} at a time`);
});

await wherePresent("purging nginx", ["nginx", "s3"], () => {
  Deno.test("createNginxEdge: on nginx, what was served from its cache is gone", async () => {
    await using edge = await edgeUnderTest();
    const nginx = createNginxEdge({ purgeUrl: edge.cdn.purgeUrl, backOffMs: [] });
    const keys = ["variants/m/a.webp", "variants/m/b c.webp"];
    const get = async (key: string) => {
      const answer = await fetch(`${edge.cdn.url}/${key}`);
      await answer.body?.cancel();
      return `${answer.status} ${answer.headers.get("x-cache")}`;
    };
    for (const key of keys) {
      await edge.store.put(key, new Uint8Array(1_000), { contentType: "image/webp" });
      assert.equal(await get(key), "200 MISS");
      assert.equal(await get(key), "200 HIT");
    }
    await assert.rejects(nginx.purge(keys), EdgeUnavailable, "what is still in the store stays");
    await edge.store.delete(keys);
    for (const key of keys) assert.equal(await get(key), "200 HIT");
    await nginx.purge([...keys, "variants/m/never.webp"]);
    for (const key of keys) assert.match(await get(key), /^404/);
  });
});
