import { z } from "zod";
import { levels } from "../telemetry/logger.ts";
import { developmentSecrets } from "./development-secrets.ts";

/**
 * Configuration comes from the environment alone; every variable is named here, with its unit and
 * default. An empty one counts as unset. URLs bear no trailing slash, since paths are put behind them.
 * The README's tables are these descriptions; a test holds them to it.
 */
const url = z.url({ protocol: /^https?$/ }).regex(/[^/]$/, "must not end in a slash");
const list = z.string().transform((value) =>
  value.split(",").map((part) => part.trim()).filter((part) => part !== "")
);

/** What every process takes. */
const common = z.object({
  PORT: z.coerce.number().int().min(0).max(65535).default(8000)
    .describe("where to listen; port 0 takes a free one"),
  HOST: z.string().min(1).default("127.0.0.1").describe("the address to listen at"),
  CORS_ORIGINS: z.string().default("*").pipe(list)
    .describe("origins whose pages may call the API, comma-separated; `*` for any"),
  IMAGE_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2)
    .describe("photographs that one process resizes at a time"),
  FEED_PULL_THRESHOLD: z.coerce.number().int().min(1).default(10_000)
    .describe(
      "followers from which on an author's posts are pulled by readers, not pushed to them",
    ),
  RATE_LIMIT_SCALE: z.coerce.number().min(0).max(1000).default(1)
    .describe("multiplies every rate limit; 0 switches them off"),
  LOG_LEVEL: z.enum(levels).default("info").describe("debug, info, warn, error, silent"),
  LOG_FORMAT: z.enum(["text", "json"]).optional()
    .describe("text or json; text on a terminal, else json, when left out"),
});

const embedded = common.extend({
  PUBLIC_URL: url.optional()
    .describe("how clients reach it, when that is not `http://HOST:PORT`"),
  DATA_DIR: z.string().min(1).default(".shutterlog").describe("where state is kept"),
  CDN_BASE_URL: url.optional().describe(
    "where variants are served from, its own `/cdn` when left out; manifests are remade when it changes",
  ),
});

const networked = common.extend({
  ENVIRONMENT: z.enum(["development", "production"]).default("development")
    .describe("`production` refuses the secrets that development is known to use"),
  KAFKA_BROKERS: list.pipe(z.array(z.string()).min(1))
    .describe("`host:port` of some of the cluster's, comma-separated"),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ })
    .describe("the primary: `postgres://user:password@host:port/database`"),
  POSTGRES_REPLICA_URLS: z.string().default("").pipe(list)
    .describe("read from before the primary, in this order of preference, comma-separated"),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional()
    .describe("one Redis (`rediss://` by TLS); either this or `REDIS_CLUSTER_NODES`"),
  REDIS_CLUSTER_NODES: z.string().default("").pipe(list)
    .describe("`host:port` of some of a cluster's nodes, comma-separated"),
  S3_ENDPOINT: url.optional()
    .describe("the store, Amazon's own for the region when left out"),
  S3_PUBLIC_ENDPOINT: url.optional()
    .describe("where clients upload to, when that is another address than `S3_ENDPOINT`"),
  S3_REGION: z.string().default("us-east-1").describe("the store's region"),
  S3_BUCKET: z.string().min(3).describe("the bucket, which must exist"),
  S3_ACCESS_KEY_ID: z.string().min(1).describe("who signs uploads, and reads and deletes"),
  S3_SECRET_ACCESS_KEY: z.string().min(1).describe("its secret"),
  CDN_BASE_URL: url.describe("where clients fetch variants"),
  CDN_PURGE_URL: url.optional().describe(
    "the purge side of the nginx edge, for the projector; no edge is purged when left out",
  ),
  SERVER_SECRETS: list.pipe(
    z.array(z.base64().min(44, "must be 32 bytes or more in base64")).min(1),
  ).describe(
    "base64 of at least 32 random bytes each, comma-separated: the first signs and seals, all are believed",
  ),
  TRUSTED_PROXIES: z.coerce.number().int().min(0).max(10).default(0)
    .describe("reverse proxies in front whose `X-Forwarded-For` is believed"),
}).refine(
  ({ REDIS_URL, REDIS_CLUSTER_NODES }) =>
    (REDIS_URL === undefined) !== (REDIS_CLUSTER_NODES.length === 0),
  { path: ["REDIS_URL"], message: "set either REDIS_URL or REDIS_CLUSTER_NODES" },
).superRefine((config, context) => {
  if (config.ENVIRONMENT !== "production") return;
  for (const problem of developmentSecrets(config)) {
    context.addIssue({ code: "custom", ...problem });
  }
});

/** For the README's tables. */
export const schemas = { embedded, networked };

export type CommonConfig = z.infer<typeof common>;
export type Config = z.infer<typeof embedded>;
export type NetworkedConfig = z.infer<typeof networked>;

type Variables = Record<string, string | undefined>;

export class InvalidConfiguration extends Error {
  override readonly name = "InvalidConfiguration";
}

/** Of the embedded run. @throws {InvalidConfiguration} naming each variable that is wrong and why. */
export function loadConfig(variables: Variables = Deno.env.toObject()): Config {
  return load(embedded, variables);
}

/** Of a role on the networked engines. @throws {InvalidConfiguration} likewise. */
export function loadNetworkedConfig(variables: Variables = Deno.env.toObject()): NetworkedConfig {
  return load(networked, variables);
}

function load<Schema extends z.ZodType>(schema: Schema, variables: Variables): z.infer<Schema> {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(set);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    `  ${path.join(".")}: ${message}`
  );
  throw new InvalidConfiguration(`the environment is not right:\n${problems.join("\n")}`);
}
