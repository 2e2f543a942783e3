import { createRoute, z } from "@hono/zod-openapi";
import assert from "node:assert/strict";
import { jsonBody } from "./json-body.ts";
import { problemCode, testEdge } from "./testing.ts";

const route = createRoute({
  method: "post",
  path: "/",
  request: {
    body: {
      content: { "application/json": { schema: z.strictObject({ text: z.string() }) } },
      required: true,
    },
  },
  responses: { 200: { description: "The text" } },
});

function post(body: BodyInit | null, type: string | null = "application/json") {
  const edge = testEdge();
  edge.openapi({ ...route, middleware: [jsonBody()] }, (c) => c.text(c.req.valid("json").text));
  return edge.request("/", {
    method: "POST",
    body,
    headers: type === null ? {} : { "Content-Type": type },
  });
}

async function refusal(body: BodyInit | null, type?: string | null): Promise<[number, string]> {
  const response = await post(body, type);
  return [response.status, await problemCode(response)];
}

Deno.test("jsonBody: hands JSON to the route's schema", async () => {
  for (const type of ["application/json", "application/json; charset=UTF-8"]) {
    const response = await post('{"text": "Grüße 📷"}', type);
    assert.equal(response.status, 200, type);
    assert.equal(await response.text(), "Grüße 📷");
  }
});

Deno.test("jsonBody: takes application/json in UTF-8 and nothing else", async () => {
  const types = ["text/plain", "application/json; charset=latin1", "application/xml"];
  for (const type of types) {
    assert.deepEqual(await refusal('{"text":""}', type), [415, "unsupported-media-type"], type);
  }
  const untyped = new TextEncoder().encode('{"text":""}');
  assert.deepEqual(await refusal(untyped, null), [415, "unsupported-media-type"]);
});

Deno.test("jsonBody: refuses what is too large, announced or not, without reading on", async () => {
  const megabyte = JSON.stringify({ text: "x".repeat(1 << 20) });
  assert.deepEqual(await refusal(megabyte), [413, "body-too-large"]);
  let pulled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      pulled++;
      controller.enqueue(new Uint8Array(16 * 1024).fill(0x20));
    },
  });
  assert.deepEqual(await refusal(endless), [413, "body-too-large"]);
  assert.ok(pulled < 10, `${pulled} chunks were pulled`);
  assert.equal((await post(JSON.stringify({ text: "x".repeat(60_000) }))).status, 200);
});

Deno.test("jsonBody: tells bytes that are not UTF-8 from text that is not JSON", async () => {
  const bytes = new TextEncoder().encode('{"text":"?"}');
  bytes[9] = 0xff;
  assert.deepEqual(await refusal(bytes), [400, "invalid-utf8"]);
  for (const text of ["{", "", "nope", "\ufeff{}", '{"text":"a"} x']) {
    const [status, code] = await refusal(text === "" ? " " : text);
    assert.deepEqual([status, code], [400, "invalid-json"], text);
  }
});

Deno.test("jsonBody: bounds nesting, but not brackets in strings", async () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assert.deepEqual(await refusal(nested(30_000)), [400, "invalid-json"]);
  assert.deepEqual(await refusal(`{"text":${nested(33)}}`), [400, "invalid-json"]);
  assert.equal((await post(JSON.stringify({ text: `\\"${"[{".repeat(99)}` }))).status, 200);
});

Deno.test("jsonBody: __proto__ is an unknown field, and poisons nothing", async () => {
  const body = '{"text":"a","__proto__":{"polluted":true}}';
  assert.deepEqual(await refusal(body), [422, "invalid-body"]);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.equal((await post('{"text":"a","text":"b"}')).status, 200);
});
