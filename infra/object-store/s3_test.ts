import assert from "node:assert/strict";
import { localEndpoint } from "./endpoint.ts";
import { localOptions, temporaryStore } from "./local-fixture.ts";
import { StoreUnavailable } from "./port.ts";
import { s3StoreContract } from "./s3-contract.ts";
import { openS3Store } from "./s3.ts";

const { bucket, region, endpoint, accessKeyId, secretAccessKey } = localOptions("");
const s3 = {
  bucket,
  region,
  endpoint,
  credentials: { accessKeyId, secretAccessKey },
  forcePathStyle: true,
};
const photograph = {
  key: "originals/o/m",
  contentType: "image/jpeg",
  byteLength: 8,
  expiresInSeconds: 60,
};

Deno.test("openS3Store: signs as the local store does, to the last character", async () => {
  const now = () => new Date("2026-06-01T12:00:00.789Z");
  await using temporary = await temporaryStore({ now });
  const store = openS3Store({ ...s3, now });
  const presigned = await store.presignPut(photograph);
  assert.deepEqual(presigned, await temporary.store.presignPut(photograph));
  assert.equal(presigned.expiresAt.toISOString(), "2026-06-01T12:01:00.000Z");
  const { searchParams } = new URL(presigned.url);
  assert.equal(searchParams.get("X-Amz-SignedHeaders"), "content-length;content-type;host");
  assert(![...searchParams.keys()].some((name) => /checksum/i.test(name)), "no checksum is signed");

  const answer = await localEndpoint(temporary.store)(
    new Request(presigned.url, {
      method: "PUT",
      headers: { ...presigned.headers, "content-length": "8" },
      body: new Uint8Array(8),
    }),
  );
  assert.equal(answer.status, 200);
  await store.close();
});

Deno.test("openS3Store: URLs are for the address that clients see", async () => {
  const store = openS3Store({ ...s3, publicEndpoint: "https://uploads.example.org" });
  const { url } = await store.presignPut(photograph);
  assert.match(url, /^https:\/\/uploads\.example\.org\/bucket\/originals\/o\/m\?/);
  await store.close();
});

Deno.test("openS3Store: a URL lives for a second to a week", async () => {
  const store = openS3Store(s3);
  await assert.rejects(store.presignPut({ ...photograph, expiresInSeconds: 604_801 }));
  await store.presignPut({ ...photograph, expiresInSeconds: 604_800 });
  await store.close();
});

Deno.test("openS3Store: a server that is not there, or fails, or refuses is unavailable", async () => {
  let status: number;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      await request.body?.cancel();
      return new Response(null, { status });
    },
  );
  const store = openS3Store({ ...s3, endpoint: `http://127.0.0.1:${server.addr.port}` });
  const calls = [
    () => store.check(),
    () => store.head("k"),
    () => store.get("k"),
    () => store.put("k", new Uint8Array(1), { contentType: "text/plain" }),
    () => store.delete(["k"]),
    () => Array.fromAsync(store.list("")),
  ];
  for (status of [500, 503, 403]) {
    for (const call of calls) await assert.rejects(call(), StoreUnavailable);
  }
  await server.shutdown();
  for (const call of calls) await assert.rejects(call(), StoreUnavailable);
  await store.close();
});

const running = Deno.env.get("SHUTTERLOG_TEST_S3");
if (running === undefined) {
  console.log("left out: the object store on S3 (SHUTTERLOG_TEST_S3 is not set)");
} else s3StoreContract("openS3Store", JSON.parse(running));
