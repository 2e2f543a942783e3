import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { storeNotifications } from "../../apps/projector/topics.ts";
import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { defaultPullThreshold } from "../../projections/feeds/services.ts";
import * as settings from "../../infra/deploy/settings.ts";
import { projectRoot } from "../architecture/graph.ts";
import { type Kind, kinds, missingFor } from "./available.ts";
import { type Layout, partsOf } from "./layout.ts";

/** As far as it is compared: what `docker compose config` would see, anchors and merges resolved. */
const service = z.object({
  image: z.string(),
  profiles: z.array(z.string()).min(1),
  command: z.array(z.string()).optional(),
  ports: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  healthcheck: z.object({ test: z.array(z.string()).min(2) }).optional(),
  depends_on: z.record(
    z.string(),
    z.object({ condition: z.string(), required: z.boolean().default(true) }),
  ).default({}),
  volumes: z.array(z.string()).default([]),
  deploy: z.object({
    replicas: z.number().optional(),
    resources: z.object({ limits: z.object({ cpus: z.string(), memory: z.string() }) }),
  }),
  restart: z.string().optional(),
});
const file = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.null()),
});

const text = (path: string) => Deno.readTextFileSync(join(projectRoot, path));
const compose = file.parse(parse(text("compose.yaml"), { merge: true, maxAliasCount: -1 }));
const services = Object.entries(compose.services);

function named(name: string) {
  const found = compose.services[name];
  assert(found, `there is a service ${name}`);
  return found;
}

/** `127.0.0.1:9094:9092` → 9094 */
const published = (name: string) => named(name).ports.map((port) => Number(port.split(":")[1]));

Deno.test("compose.yaml: every image is the one whose version the local servers have", () => {
  const { kafka, postgres, redis, versitygw, nginx, prometheus, grafana, jaeger } =
    settings.versions;
  const image: Record<string, string> = {
    kafka: kafka.image,
    postgres: postgres.image,
    redis: redis.image,
    s3: versitygw.image,
    gateway: nginx.image,
    cdn: nginx.image,
    prometheus: prometheus.image,
    grafana: grafana.image,
    jaeger: jaeger.image,
  };
  for (const [name, service] of services) {
    const kind = Object.keys(image).find((kind) => name === kind || name.startsWith(`${kind}-`));
    assert.equal(service.image, kind ? image[kind] : "shutterlog", name);
  }
  for (const { image, version } of Object.values(settings.versions)) {
    assert.match(image, new RegExp(`:v?${version.replaceAll(".", "\\.")}(\\D|$)`));
  }
  assert.match(
    text("infra/deploy/Dockerfile"),
    new RegExp(`^FROM ${settings.versions.deno.image}$`, "m"),
  );
  assert(
    text("infra/deploy/kafka/pom.xml").includes(
      `<artifactId>kafka_2.13</artifactId>\n      <version>${kafka.version}</version>`,
    ),
  );
});

Deno.test("compose.yaml: this machine sees the same ports, and nobody else sees any", () => {
  const { ports } = settings;
  const expected: Record<string, readonly number[]> = {
    "kafka": ports.kafka.slice(0, 1),
    "postgres-primary": [ports.postgres],
    "s3": [ports.s3],
    "gateway": [ports.gateway],
    "gateway-one": [ports.gateway],
    "cdn": [ports.cdn],
    "prometheus": [settings.watchingPorts.prometheus],
    "grafana": [settings.watchingPorts.grafana],
    "jaeger": [settings.watchingPorts.jaeger, settings.watchingPorts.otlp],
  };
  ports.kafka.forEach((port, index) => expected[`kafka-${index + 1}`] = [port]);
  ports.postgresReplica.forEach((port, index) =>
    expected[`postgres-replica-${index + 1}`] = [port]
  );
  for (const [name, { ports, environment }] of services) {
    assert.deepEqual(published(name), expected[name] ?? [], name);
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, "on loopback");
    const advertised = environment.KAFKA_ADVERTISED_LISTENERS;
    if (advertised) assert(advertised.endsWith(`HOST://localhost:${expected[name]?.[0]}`), name);
  }
});

Deno.test("compose.yaml: Kafka's settings are the local brokers', for three and for one", () => {
  for (const [name, { environment, image }] of services) {
    if (image !== settings.versions.kafka.image) continue;
    const brokers = name === "kafka" ? 1 : 3;
    for (const [setting, value] of Object.entries(settings.kafkaSettings(brokers))) {
      const variable = `KAFKA_${setting.toUpperCase().replaceAll(".", "_")}`;
      assert.equal(environment[variable], value, `${name}: ${variable}`);
    }
    assert.equal(environment.KAFKA_HEAP_OPTS, settings.kafkaHeap);
    assert.equal(environment.KAFKA_CONTROLLER_QUORUM_VOTERS?.split(",").length, brokers);
  }
});

Deno.test("compose.yaml: PostgreSQL's, Redis's and the store's settings are the local servers'", () => {
  const flags = Object.entries(settings.postgresSettings).map(([key, value]) =>
    `-c${key}=${value}`
  );
  for (const name of ["postgres-primary", "postgres-replica-1"]) {
    assert.deepEqual(named(name).command, ["postgres", ...flags], name);
  }
  const redis = (of: object) => Object.entries(of).flatMap(([key, value]) => [`--${key}`, value]);
  const node = [
    "redis-server",
    ...redis(settings.redisSettings),
    ...redis(settings.redisClusterSettings),
  ];
  settings.ports.redisCluster.forEach((_, index) =>
    assert.deepEqual(named(`redis-${index + 1}`).command, node)
  );
  assert.deepEqual(named("redis").command, ["redis-server", ...redis(settings.redisSettings)]);
  const flagsOfS3 = named("s3").command?.slice(0, settings.s3Flags.length);
  assert.deepEqual(flagsOfS3, [...settings.s3Flags]);
  const notifications = settings.s3Notifications(
    "kafka:19092",
    storeNotifications,
    "/etc/shutterlog/notifications.json",
  );
  for (const [variable, value] of Object.entries(notifications)) {
    assert.equal(named("s3").environment[variable], value);
  }
  for (const [topics, profile] of [["topics", "cluster"], ["topics-one", "one"]]) {
    assert.deepEqual(named(topics ?? "").profiles, [profile]);
    assert(topics !== undefined && topics in named("s3").depends_on, "the topic is there first");
  }
  const { user, database } = settings.development.postgres;
  const { environment } = named("postgres-primary");
  assert.equal(environment.POSTGRES_USER, user);
  assert.equal(environment.POSTGRES_DB, database);
  assert.equal(environment.REPLICATION_USER, settings.development.replication.user);
});

Deno.test("compose.yaml: nginx's templates are given all they ask for", () => {
  for (
    const [name, template] of [["gateway", "gateway"], ["gateway-one", "gateway"], ["cdn", "cdn"]]
  ) {
    const { environment } = named(name ?? "");
    const asked = text(`infra/deploy/nginx/${template}.conf.template`).matchAll(
      /\$\{([A-Z0-9_]+)\}/g,
    );
    for (const [, variable = ""] of asked) assert(variable in environment, `${name}: ${variable}`);
    const own = Object.keys(environment).filter((variable) => !variable.startsWith("NGINX_"));
    const used = text(`infra/deploy/nginx/${template}.conf.template`);
    for (const variable of own) assert(used.includes(`\${${variable}}`), `${name}: ${variable}`);
  }
});

Deno.test("compose.yaml: the roles are told what the local stack's status would tell them", async () => {
  const present: Kind[] = [];
  for (const kind of kinds) if ((await missingFor([kind])).length === 0) present.push(kind);
  const layout: Layout = { ports: settings.ports, serverSecret: "" };
  const parts = await partsOf("/nowhere", layout, present);
  const local = ["SERVER_SECRETS", ...parts.flatMap(({ env }) => Object.keys(env))];
  const known = new Set([...Object.keys(named("commands").environment), "REDIS_URL"]);
  for (const variable of local) assert(known.has(variable), variable);
  for (const role of ["commands", "queries", "projector", "image-worker"]) {
    assert.deepEqual(named(role).command, [role]);
    // All but the name that its traces bear.
    const told = (profile: string) => ({
      ...named(`commands${profile}`).environment,
      OTEL_SERVICE_NAME: role,
    });
    assert.deepEqual(named(role).environment, told(""));
    assert.deepEqual(named(`${role}-one`).command, [role]);
    assert.deepEqual(named(`${role}-one`).environment, told("-one"));
  }
  const drawn = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  for (const name of ["commands", "commands-one"]) {
    const given = Object.entries(named(name).environment).map(([variable, value]) => [
      variable,
      // As with an .env that holds what must be given, and nothing else.
      value.replaceAll(/\$\{[A-Z0-9_]+:\?[^}]*\}/g, drawn)
        .replaceAll(/\$\{[A-Z0-9_]+:-([^}]*)\}/g, "$1"),
    ]);
    const config = loadNetworkedConfig(Object.fromEntries(given));
    assert.equal(config.KAFKA_BROKERS.length, name === "commands" ? 3 : 1);
    assert.equal(config.TRUSTED_PROXIES, 1, "the gateway");
    assert.equal(config.ENVIRONMENT, "production");
    assert.equal(config.FEED_PULL_THRESHOLD, defaultPullThreshold, "as where it is left out");
  }
  const { region, bucket } = settings.development.s3;
  assert.equal(named("commands").environment.S3_REGION, region);
  assert.equal(named("commands").environment.S3_BUCKET, bucket);
});

Deno.test("compose.yaml: what one waits for is there in the same profile, and says when it is well", () => {
  for (const [name, { depends_on, profiles }] of services) {
    for (const [other, { condition, required }] of Object.entries(depends_on)) {
      const { profiles: its, healthcheck } = named(other);
      const both = profiles.filter((profile) => its.includes(profile));
      assert(required ? both.length === profiles.length : both.length > 0, `${name} → ${other}`);
      if (condition === "service_healthy") assert(healthcheck, `${other} has a health check`);
    }
  }
  for (const [name, { restart, healthcheck }] of services) {
    if (restart === "unless-stopped") assert(healthcheck, `${name} has a health check`);
  }
});

Deno.test("compose.yaml: no secret is written in it, and .env.example names each that it asks for", () => {
  const example = text(".env.example");
  const source = text("compose.yaml");
  const asked = [...source.matchAll(/\$\{([A-Z0-9_]+)(:[-?])/g)];
  assert(asked.length > 0);
  for (const [, variable = ""] of asked) {
    assert.match(example, new RegExp(`^(# )?${variable}=`, "m"));
  }
  const required = new Set(asked.flatMap(([, name, kind]) => kind === ":?" ? [name] : []));
  const given = [...example.matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(new Set(given), required);
  for (const [, variable = "", shown] of example.matchAll(/^# ([A-Z0-9_]+)=(.*)$/gm)) {
    const standing = [...source.matchAll(new RegExp(`\\$\\{${variable}:-([^}]*)\\}`, "g"))];
    assert(standing.length > 0, `compose.yaml asks for ${variable}`);
    for (const [, value] of standing) assert.equal(value, shown, `the default of ${variable}`);
  }
  for (const [name, { environment }] of services) {
    for (const [variable, value] of Object.entries(environment)) {
      if (/SECRET|PASSWORD/.test(variable)) assert.match(value, /^\$\{/, `${name}: ${variable}`);
    }
  }
});

Deno.test("compose.yaml: files and volumes that are mounted are there", () => {
  for (const [name, { volumes }] of services) {
    for (const volume of volumes) {
      const [source = ""] = volume.split(":");
      if (source.startsWith("./")) Deno.statSync(join(projectRoot, source));
      else assert(source in compose.volumes, `${name}: ${source}`);
    }
  }
});
