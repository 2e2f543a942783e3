import assert from "node:assert/strict";
import { InvalidConfiguration, loadConfig } from "./config.ts";

Deno.test("loadConfig: an empty environment is a whole configuration", () => {
  const config = loadConfig({});
  assert.equal(config.PORT, 8000);
  assert.equal(config.DATA_DIR, ".shutterlog");
  assert.deepEqual(loadConfig({ PORT: "", HOST: "" }), config, "empty counts as unset");
});

Deno.test("loadConfig: names every variable that is wrong", () => {
  assert.throws(
    () => loadConfig({ PORT: "http", PUBLIC_URL: "ftp://x", LOG_LEVEL: "loud" }),
    (error) =>
      error instanceof InvalidConfiguration &&
      ["PORT", "PUBLIC_URL", "LOG_LEVEL"].every((name) => error.message.includes(name)),
  );
});

Deno.test("loadConfig: URLs carry no trailing slash, since paths are put behind them", () => {
  assert.throws(() => loadConfig({ CDN_BASE_URL: "https://img.example/" }), InvalidConfiguration);
  assert.equal(
    loadConfig({ CDN_BASE_URL: "https://img.example" }).CDN_BASE_URL,
    "https://img.example",
  );
});
