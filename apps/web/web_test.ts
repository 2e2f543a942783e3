import assert from "node:assert/strict";
import { problems } from "../../infra/http/problem.ts";
import { problemCode, testEdge } from "../../infra/http/testing.ts";
import { commandRoutes } from "../commands/commands.ts";
import * as queryRoutes from "../queries/routes.ts";
import { createWeb } from "./web.ts";

const routes = [...commandRoutes, ...Object.values(queryRoutes)];
const edge = testEdge().route("/", await createWeb({ routes }));

Deno.test("createWeb: / is a page of its own that may load nothing else", async () => {
  const response = await edge.request("/");
  assert.equal(response.headers.get("content-type"), "text/html; charset=UTF-8");
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.match(policy, /^default-src 'none'; style-src 'sha256-/);
  const page = await response.text();
  for (const path of ["/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"]) {
    assert.ok(page.includes(`href="${path}"`), path);
  }
  assert.ok(!/(?:src|href)="https?:/.test(page) && !page.includes("<script"));
  const style = /<style>([^]*)<\/style>/.exec(page)?.[1] ?? "";
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
  assert.ok(policy.includes(new Uint8Array(hash).toBase64()), "the hash is of the page's style");
});

Deno.test("createWeb: /docs and all it loads come from here", async () => {
  const response = await edge.request("/docs");
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.ok(!policy.includes("unsafe") && !policy.includes("http"), policy);
  const page = await response.text();
  const urls = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? "");
  assert.equal(urls.length, 4);
  for (const url of urls) {
    const asset = await edge.request(url);
    assert.equal(asset.status, 200, url);
    assert.equal(asset.headers.get("x-content-type-options"), "nosniff");
    assert.ok((await asset.bytes()).length > 0);
  }
  assert.ok(!/<script>|<style/.test(page), "nothing inline");
});

Deno.test("createWeb: /openapi.json describes every route of the interface", async () => {
  const response = await edge.request("/openapi.json");
  const document = await response.json();
  assert.equal(document.openapi, "3.1.0");
  const described = Object.entries<Record<string, unknown>>(document.paths).flatMap(
    ([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`),
  );
  assert.deepEqual(
    described.sort(),
    routes.map(({ method, path }) => `${method} ${path}`).sort(),
  );
  assert.equal(document.paths["/v1/posts"].post.security[0].bearer.length, 0);
  assert.equal(document.components.securitySchemes.bearer.scheme, "bearer");
  const references = JSON.stringify(document).match(/#\/components\/schemas\/\w+/g) ?? [];
  for (const reference of new Set(references)) {
    assert.ok(document.components.schemas[reference.split("/").at(-1) ?? ""], reference);
  }
  const etag = response.headers.get("etag") ?? "";
  const again = await edge.request("/openapi.json", { headers: { "If-None-Match": etag } });
  assert.equal(again.status, 304);
});

Deno.test("createWeb: every problem's type leads to a text about it", async () => {
  for (const [code, { title }] of Object.entries(problems)) {
    const response = await edge.request(`/problems/${code}`);
    assert.equal(response.status, 200, code);
    assert.ok((await response.text()).includes(title));
  }
  for (const code of ["nonsense", "constructor", "__proto__"]) {
    const response = await edge.request(`/problems/${code}`);
    assert.equal(response.status, 404);
    assert.equal(await problemCode(response), "not-found");
  }
});
