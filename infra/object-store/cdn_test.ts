import assert from "node:assert/strict";
import { cdnHandler } from "./cdn.ts";
import { temporaryStore } from "./local-fixture.ts";

const photograph = Uint8Array.from({ length: 200_000 }, (_, index) => index % 251);
const path = "/cdn/variants/m/large.webp";

/** Served over HTTP, since what a server makes of a handler's answer is part of the claim. */
async function served() {
  const temporary = await temporaryStore();
  const { store } = temporary;
  await store.put("variants/m/large.webp", photograph, { contentType: "image/webp" });
  await store.put("originals/o/m", photograph, { contentType: "image/jpeg" });
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, cdnHandler(store, "/cdn"));
  return {
    store,
    port: server.addr.port,
    get: (headers: Record<string, string> = {}, method = "GET", at = path) =>
      fetch(`http://127.0.0.1:${server.addr.port}${at}`, { method, headers }),
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await temporary[Symbol.asyncDispose]();
    },
  };
}

Deno.test("cdnHandler: a variant comes whole, to be kept for ever, for any page", {
  sanitizeResources: true,
}, async () => {
  await using cdn = await served();
  const head = await cdn.store.head("variants/m/large.webp");
  for (const method of ["GET", "HEAD"]) {
    const answer = await cdn.get({}, method);
    assert.equal(answer.status, 200);
    const headers = Object.fromEntries(answer.headers);
    delete headers.date;
    assert.deepEqual(headers, {
      "accept-ranges": "bytes",
      "access-control-allow-origin": "*",
      "cache-control": "public, max-age=31536000, immutable",
      "content-length": "200000",
      "content-type": "image/webp",
      "cross-origin-resource-policy": "cross-origin",
      etag: head?.etag,
      "x-content-type-options": "nosniff",
    });
    assert.deepEqual(await answer.bytes(), method === "GET" ? photograph : new Uint8Array());
  }
});

Deno.test("cdnHandler: a reader who has it is told so", { sanitizeResources: true }, async () => {
  await using cdn = await served();
  const etag = (await cdn.store.head("variants/m/large.webp"))?.etag ?? "";
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    const answer = await cdn.get({ "if-none-match": known, range: "bytes=0-1" });
    assert.equal(answer.status, 304, known);
    assert.equal(answer.headers.get("etag"), etag);
    assert.equal(await answer.text(), "");
  }
  for (const unknown of ['"other"', etag.slice(1, -1), ""]) {
    const answer = await cdn.get({ "if-none-match": unknown });
    assert.equal(answer.status, 200, unknown);
    await answer.body?.cancel();
  }
});

Deno.test("cdnHandler: a single range is a part, several or none are the whole", {
  sanitizeResources: true,
}, async () => {
  await using cdn = await served();
  const part = async (range: string) => {
    const answer = await cdn.get({ range });
    return [answer.status, answer.headers.get("content-range"), await answer.bytes()] as const;
  };
  const of = (start: number, end: number) => [
    206,
    `bytes ${start}-${end - 1}/200000`,
    photograph.subarray(start, end),
  ];
  assert.deepEqual(await part("bytes=0-99"), of(0, 100));
  assert.deepEqual(await part("bytes=65530-131080"), of(65530, 131081));
  assert.deepEqual(await part("bytes=199999-"), of(199_999, 200_000));
  assert.deepEqual(await part("bytes=-300"), of(199_700, 200_000));
  assert.deepEqual(await part("bytes=0-1,5-6"), [200, null, photograph]);
  assert.deepEqual(await part("pages=1-2"), [200, null, photograph]);
  const [status, contentRange] = await part("bytes=200000-");
  assert.deepEqual([status, contentRange], [416, "bytes */200000"]);
});

Deno.test("cdnHandler: a range of another version, or with HEAD, is the whole", async () => {
  await using cdn = await served();
  const etag = (await cdn.store.head("variants/m/large.webp"))?.etag ?? "";
  const status = async (condition: string) => {
    const answer = await cdn.get({ range: "bytes=0-9", "if-range": condition });
    await answer.body?.cancel();
    return answer.status;
  };
  assert.equal(await status(etag), 206);
  assert.equal(await status('"other"'), 200);
  assert.equal(await status(`W/${etag}`), 200, "If-Range compares strongly");
  assert.equal(await status("Sun, 22 Nov 2026 00:00:00 GMT"), 200);
  const head = await cdn.get({ range: "bytes=0-9" }, "HEAD");
  assert.equal(head.status, 200);
  assert.equal(head.headers.get("content-length"), "200000");
});

Deno.test("cdnHandler: an empty variant is served, no range of it is", async () => {
  await using cdn = await served();
  await cdn.store.put("variants/empty", new Uint8Array(), { contentType: "image/webp" });
  const whole = await cdn.get({}, "GET", "/cdn/variants/empty");
  assert.deepEqual([whole.status, await whole.text()], [200, ""]);
  const range = await cdn.get({ range: "bytes=0-" }, "GET", "/cdn/variants/empty");
  assert.equal(range.status, 416);
  await range.body?.cancel();
});

Deno.test(
  "cdnHandler: a reader who leaves midway costs no open file",
  { sanitizeResources: true },
  async () => {
    await using cdn = await served();
    await cdn.store.put("variants/big", new Uint8Array(20_000_000), { contentType: "image/webp" });
    const leaving = new AbortController();
    const url = `http://127.0.0.1:${cdn.port}/cdn/variants/big`;
    const answer = await fetch(url, { signal: leaving.signal });
    const reader = answer.body?.getReader();
    await reader?.read();
    leaving.abort();
    await reader?.closed.catch(() => {});
  },
);

Deno.test("cdnHandler: a key is percent-decoded once", async () => {
  await using cdn = await served();
  await cdn.store.put("variants/ä é%2f.webp", photograph, { contentType: "image/webp" });
  const found = await cdn.get({}, "HEAD", "/cdn/variants/%C3%A4%20%C3%A9%252f.webp");
  assert.equal(found.status, 200);
});

Deno.test("cdnHandler: nothing but variants is there, however it is asked for", async () => {
  await using cdn = await served();
  const answers = new Set<string>();
  for (
    const at of [
      "/cdn/variants/m/none.webp",
      "/cdn/originals/o/m",
      "/cdn/variants/../originals/o/m",
      "/cdn/variants/%2e%2e/originals/o/m",
      "/cdn/variants/..%2foriginals/o/m",
      "/cdn/variants/%2e%2e%2foriginals%2fo%2fm",
      "/cdn/variants/..%5c..%5coriginals/o/m",
      "/cdn/variants/m/../m/large.webp",
      "/cdn/variants//m/large.webp",
      "/cdn/variants/m/large.webp/",
      "/cdn/variants/m/large.webp%00",
      "/cdn/variants/m/large.webp.object",
      "/cdn/variants/m",
      "/cdn/variants/",
      "/cdn/variants",
      "/cdn//variants/m/large.webp",
      "/cdn/%zz",
      "/cdn/variants/%ff",
      "/cdn/../cdn/variants/m/large.webp",
      "/cdnvariants/m/large.webp",
      "/variants/m/large.webp",
      "/cdn/%2fetc%2fpasswd",
      "/",
    ]
  ) {
    const answer = await rawGet(cdn.port, at);
    assert.match(answer, /^HTTP\/1\.1 404 /, at);
    answers.add(answer.replace(/date: .*\r\n/, ""));
  }
  assert.equal(answers.size, 1, "what may not be read is told apart from what is not there");
});

Deno.test("cdnHandler: nothing is written through it", async () => {
  await using cdn = await served();
  for (const method of ["PUT", "POST", "DELETE", "OPTIONS"]) {
    const answer = await cdn.get({}, method);
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.get("allow"), "GET, HEAD");
    await answer.body?.cancel();
  }
});

/** With the path just as it stands, which `fetch` would tidy. */
async function rawGet(port: number, path: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  let answer = "";
  const decoder = new TextDecoder();
  for await (const chunk of connection.readable) answer += decoder.decode(chunk, { stream: true });
  return answer;
}
