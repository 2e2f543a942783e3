import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { request } from "node:http";
import { inParallel, zipf } from "./testing_load.ts";
import { edgeUnderTest, wherePresent } from "./testing.ts";

const headers = { contentType: "image/webp", cacheControl: "public, max-age=31536000, immutable" };
const image = (seed: number) => Buffer.alloc(4_000, `image ${seed}, `);

async function get(url: string, init?: RequestInit) {
  const answer = await fetch(url, init);
  const body = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, headers: answer.headers, body };
}

/** The path as it stands: `fetch` would resolve it first. */
function statusOf(base: string, path: string, method = "GET"): Promise<number | undefined> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, method, agent: false }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    }).on("error", reject).end();
  });
}

await wherePresent("the CDN's edge", ["nginx", "s3"], () => {
  Deno.test("cdn: of 10,000 requests for 500 images as people look at them, 95 % are hits", async () => {
    await using edge = await edgeUnderTest();
    const keys = Array.from({ length: 500 }, (_, index) => `variants/m${index}/medium.webp`);
    await inParallel(keys, 16, (key, index) => edge.store.put(key, image(index), headers));

    const ranks = zipf({ count: 10_000, size: keys.length, exponent: 1, seed: 7 });
    let hits = 0;
    await inParallel(ranks, 32, async (rank) => {
      const answer = await get(`${edge.cdn.url}/${keys[rank]}`);
      assert.equal(answer.status, 200);
      assert(answer.body.equals(image(rank)));
      if (answer.headers.get("x-cache") === "HIT") hits++;
    });
    const ratio = hits / ranks.length;
    const fetched = edge.fetched();
    console.log(
      `cdn: ${hits} hits of ${ranks.length}, ratio ${ratio.toFixed(4)}, ${fetched} fetched`,
    );
    assert(ratio >= 0.95, `hit ratio ${ratio}`);
    assert.equal(fetched, new Set(ranks).size, "each image that was asked for is fetched once");
  });

  Deno.test("cdn: 200 at once ask for one cold image, and one request reaches the store", async () => {
    await using edge = await edgeUnderTest();
    await edge.store.put("variants/m/large.webp", image(1), headers);
    edge.holdBack(new Promise((resolve) => setTimeout(resolve, 300)));
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => get(`${edge.cdn.url}/variants/m/large.webp`)),
    );
    for (const answer of answers) {
      assert.equal(answer.status, 200);
      assert(answer.body.equals(image(1)));
    }
    assert.equal(edge.fetched(), 1);
  });

  Deno.test("cdn: what has been fetched is served while the store is down, the rest is a 503", async () => {
    await using edge = await edgeUnderTest();
    await edge.store.put("variants/m/kept.webp", image(1), headers);
    await edge.store.put("variants/m/cold.webp", image(2), headers);
    await get(`${edge.cdn.url}/variants/m/kept.webp`);
    const [s3] = edge.s3.servers;
    assert(s3);
    await s3.kill();

    const kept = await get(`${edge.cdn.url}/variants/m/kept.webp`);
    assert.equal(kept.status, 200);
    assert(kept.body.equals(image(1)));
    const cold = await get(`${edge.cdn.url}/variants/m/cold.webp`);
    assert.equal(cold.status, 503);
    assert.equal(cold.headers.get("cache-control"), "no-store");
    assert.equal(cold.headers.get("content-type"), "application/problem+json");

    await s3.start();
    const back = await get(`${edge.cdn.url}/variants/m/cold.webp`);
    assert(back.body.equals(image(2)));
  });

  Deno.test("cdn: answers are kept for ever by whoever has them, with the store's ETag", async () => {
    await using edge = await edgeUnderTest();
    await edge.store.put("variants/m/a.webp", image(1), { contentType: "image/webp" });
    const etag = (await edge.store.head("variants/m/a.webp"))?.etag;
    assert(etag);
    for (const temperature of ["MISS", "HIT"]) {
      const answer = await get(`${edge.cdn.url}/variants/m/a.webp?v=${temperature}`, {
        headers: { authorization: "Bearer not-for-the-store", cookie: "nor=this" },
      });
      assert.equal(answer.headers.get("x-cache"), temperature);
      assert.equal(answer.headers.get("etag"), etag);
      assert.equal(answer.headers.get("content-type"), "image/webp");
      assert.equal(answer.headers.get("cache-control"), "public, max-age=31536000, immutable");
      assert.equal(answer.headers.get("access-control-allow-origin"), "*");
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      assert.deepEqual([...answer.headers.keys()].filter((name) => name.startsWith("x-amz")), []);
    }
    const known = await get(`${edge.cdn.url}/variants/m/a.webp`, {
      headers: { "if-none-match": etag },
    });
    assert.equal(known.status, 304);
    assert.equal(known.body.length, 0);
  });

  Deno.test("cdn: a range is that part, of a cold image too", async () => {
    await using edge = await edgeUnderTest();
    await edge.store.put("variants/m/a.webp", image(1), headers);
    const url = `${edge.cdn.url}/variants/m/a.webp`;
    const whole = image(1);
    for (const temperature of ["MISS", "HIT"]) {
      const part = await get(url, { headers: { range: "bytes=100-199" } });
      assert.equal(part.status, 206);
      assert.equal(part.headers.get("x-cache"), temperature);
      assert.equal(part.headers.get("content-range"), "bytes 100-199/4000");
      assert(part.body.equals(whole.subarray(100, 200)));
    }
    const last = await get(url, { headers: { range: "bytes=-10" } });
    assert(last.body.equals(whole.subarray(-10)));
    const beyond = await get(url, { headers: { range: "bytes=4000-" } });
    assert.equal(beyond.status, 416);
    assert.equal(edge.fetched(), 1);
  });

  Deno.test("cdn: nothing but variants can be had, whatever the path looks like", async () => {
    await using edge = await edgeUnderTest();
    await edge.store.put("originals/owner/medium", image(1), { contentType: "image/jpeg" });
    await edge.store.put("variants/m/a.webp", image(2), headers);
    const { bucket, endpoint } = edge.s3.store;
    const paths = [
      "/",
      "/originals/owner/medium",
      `/${bucket}/originals/owner/medium`,
      "/variants/../originals/owner/medium",
      "/variants/%2e%2e/originals/owner/medium",
      "/variants/..%2foriginals/owner/medium",
      "/variants//../originals/owner/medium",
      "/variants/",
      "/variants/m/none.webp",
      "/variants/?list-type=2",
    ];
    for (const path of paths) assert.equal(await statusOf(edge.cdn.url, path), 404, path);
    for (const method of ["PUT", "POST", "DELETE"]) {
      assert.equal(await statusOf(edge.cdn.url, "/variants/m/a.webp", method), 405, method);
    }
    assert.equal(await statusOf(edge.cdn.url, "/variants/m/a.webp?acl"), 200);
    assert((await get(`${edge.cdn.url}/variants/m/a.webp`)).body.equals(image(2)));

    const direct = await get(`${endpoint}/${bucket}/originals/owner/medium`);
    assert.equal(direct.status, 403, "nor may anyone read it from the store itself");
    assert.equal((await get(`${endpoint}/${bucket}?list-type=2&prefix=variants/`)).status, 403);
    const put = await get(`${endpoint}/${bucket}/variants/m/a.webp`, { method: "PUT", body: "x" });
    assert.equal(put.status, 403);
  });

  Deno.test("cdn: a deleted variant is gone once it is purged, and stays so after a restart", async () => {
    await using edge = await edgeUnderTest();
    const key = "variants/m/a.webp";
    const [nginx] = edge.cdn.servers;
    assert(nginx);
    await edge.store.put(key, image(1), headers);
    assert.equal((await get(`${edge.cdn.url}/${key}`)).status, 200);

    const early = await get(`${edge.cdn.purgeUrl}/${key}`);
    assert.equal(early.status, 200, "a purge does not remove what is still there");
    await edge.store.delete([key]);
    const stale = await get(`${edge.cdn.url}/${key}`);
    assert.equal(stale.headers.get("x-cache"), "HIT", "until it is purged the edge has it");
    assert.equal((await get(`${edge.cdn.purgeUrl}/${key}`)).status, 404);
    for (let round = 0; round < 3; round++) {
      assert.equal((await get(`${edge.cdn.url}/${key}`)).status, 404);
    }
    await nginx.restart();
    assert.equal((await get(`${edge.cdn.url}/${key}`)).status, 404);

    await edge.store.put(key, image(2), headers);
    const deadline = Date.now() + 5_000;
    while ((await get(`${edge.cdn.url}/${key}`)).status !== 200) {
      assert(Date.now() < deadline, "what is put again is served again");
    }
  });

  Deno.test("cdn: what was kept is still there after nginx was killed", async () => {
    await using edge = await edgeUnderTest();
    await edge.store.put("variants/m/a.webp", image(1), headers);
    await get(`${edge.cdn.url}/variants/m/a.webp`);
    const [nginx] = edge.cdn.servers;
    assert(nginx);
    await nginx.kill();
    await nginx.start();
    const answer = await get(`${edge.cdn.url}/variants/m/a.webp`);
    assert.equal(answer.headers.get("x-cache"), "HIT");
    assert(answer.body.equals(image(1)));
    assert.equal(edge.fetched(), 1);
  });
});
