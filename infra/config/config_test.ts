import assert from "node:assert/strict";
import { development } from "../deploy/settings.ts";
import { InvalidConfiguration, loadConfig, loadNetworkedConfig } from "./config.ts";

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

const networked = {
  KAFKA_BROKERS: "127.0.0.1:9092, 127.0.0.1:9094",
  POSTGRES_URL: "postgres://u:p@127.0.0.1:5432/shutterlog",
  REDIS_URL: "redis://127.0.0.1:6379",
  S3_BUCKET: "shutterlog",
  S3_ACCESS_KEY_ID: "k",
  S3_SECRET_ACCESS_KEY: "s",
  CDN_BASE_URL: "https://img.example",
  SERVER_SECRETS: btoa("x".repeat(32)),
};

Deno.test("loadNetworkedConfig: reads lists, and names what is missing", () => {
  const config = loadNetworkedConfig(networked);
  assert.deepEqual(config.KAFKA_BROKERS, ["127.0.0.1:9092", "127.0.0.1:9094"]);
  assert.deepEqual(config.POSTGRES_REPLICA_URLS, []);
  assert.throws(() => loadNetworkedConfig({}), (error) =>
    error instanceof InvalidConfiguration &&
    ["KAFKA_BROKERS", "POSTGRES_URL", "S3_BUCKET", "SERVER_SECRETS"]
      .every((name) => error.message.includes(name)));
});

Deno.test("loadNetworkedConfig: one Redis or a cluster, and no short secret", () => {
  const wrong = (change: Record<string, string>, name: string) =>
    assert.throws(
      () => loadNetworkedConfig({ ...networked, ...change }),
      (error) => error instanceof InvalidConfiguration && error.message.includes(name),
    );
  wrong({ REDIS_URL: "" }, "REDIS_URL");
  wrong({ REDIS_CLUSTER_NODES: "127.0.0.1:7001" }, "REDIS_URL");
  wrong({ SERVER_SECRETS: btoa("short") }, "SERVER_SECRETS");
  assert.deepEqual(
    loadNetworkedConfig({ ...networked, REDIS_URL: "", REDIS_CLUSTER_NODES: "a:1,b:2" })
      .REDIS_CLUSTER_NODES,
    ["a:1", "b:2"],
  );
});

Deno.test("loadNetworkedConfig: production refuses what development is known to use", () => {
  const drawn = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  const production = { ...networked, ENVIRONMENT: "production", SERVER_SECRETS: drawn };
  assert.equal(loadNetworkedConfig(production).ENVIRONMENT, "production");
  const { postgres: { user, password }, s3 } = development;
  const known = `postgres://${user}:${password}@db:5432/shutterlog`;
  const wrong = {
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    POSTGRES_URL: known,
    POSTGRES_REPLICA_URLS: `postgres://u:p@replica/shutterlog, ${known}`,
    SERVER_SECRETS: `${drawn},${btoa("x".repeat(32))}`,
  };
  for (const [name, value] of Object.entries(wrong)) {
    assert.throws(
      () => loadNetworkedConfig({ ...production, [name]: value }),
      (error) =>
        error instanceof InvalidConfiguration &&
        error.message.includes(`  ${name}: `) && /(of its own|draw one with)/.test(error.message) &&
        !error.message.includes(value),
      name,
    );
  }
  assert.equal(loadNetworkedConfig({ ...networked, ...wrong }).ENVIRONMENT, "development");
});
