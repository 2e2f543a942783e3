import { z } from "zod";
import { levels } from "../telemetry/logger.ts";

/**
 * Configuration comes from the environment alone; every variable is named here, with its unit and
 * default. An empty one counts as unset. URLs bear no trailing slash, since paths are put behind them.
 */
const url = z.url({ protocol: /^https?$/ }).regex(/[^/]$/, "must not end in a slash");
const list = z.string().transform((value) =>
  value.split(",").map((part) => part.trim()).filter((part) => part !== "")
);

/** What every process takes. */
const common = z.object({
  /** Where it listens. 0 takes a free port. */
  PORT: z.coerce.number().int().min(0).max(65535).default(8000),
  HOST: z.string().min(1).default("127.0.0.1"),
  /** Origins whose pages may call the API, comma-separated; `*` for any. */
  CORS_ORIGINS: z.string().default("*").pipe(list),
  /** Images resized at a time by one image worker. */
  IMAGE_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
  /** Followers from which on an author's posts are pulled by readers instead of pushed to them. */
  FEED_PULL_THRESHOLD: z.coerce.number().int().min(1).default(10_000),
  /** Multiplies every rate limit; 0 switches them off. */
  RATE_LIMIT_SCALE: z.coerce.number().min(0).max(1000).default(1),
  LOG_LEVEL: z.enum(levels).default("info"),
  /** `text` for people, `json` for machines. Text on a terminal when left out. */
  LOG_FORMAT: z.enum(["text", "json"]).optional(),
});

const embedded = common.extend({
  /** How clients reach the server, when that differs from where it listens. */
  PUBLIC_URL: url.optional(),
  /** The folder that holds all state. */
  DATA_DIR: z.string().min(1).default(".shutterlog"),
  /** Where browsers fetch variants; the server's own `/cdn` when left out. */
  CDN_BASE_URL: url.optional(),
});

const networked = common.extend({
  /** `host:port`, any of the cluster's. */
  KAFKA_BROKERS: list.pipe(z.array(z.string()).min(1)),
  POSTGRES_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** Read from instead of the primary, in this order of preference. */
  POSTGRES_REPLICA_URLS: z.string().default("").pipe(list),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  REDIS_CLUSTER_NODES: z.string().default("").pipe(list),
  /** Amazon's own for the region when left out. */
  S3_ENDPOINT: url.optional(),
  /** Where clients upload to, when that is another address than ours. */
  S3_PUBLIC_ENDPOINT: url.optional(),
  S3_REGION: z.string().default("us-east-1"),
  S3_BUCKET: z.string().min(3),
  S3_ACCESS_KEY_ID: z.string().min(1),
  S3_SECRET_ACCESS_KEY: z.string().min(1),
  CDN_BASE_URL: url,
  /** Base64 of at least 32 bytes each. The first signs and seals, all are believed. */
  SERVER_SECRETS: list.pipe(
    z.array(z.base64().min(44, "must be 32 bytes or more in base64")).min(1),
  ),
  /** Reverse proxies in front whose `X-Forwarded-For` is believed. */
  TRUSTED_PROXIES: z.coerce.number().int().min(0).max(10).default(0),
}).refine(
  ({ REDIS_URL, REDIS_CLUSTER_NODES }) =>
    (REDIS_URL === undefined) !== (REDIS_CLUSTER_NODES.length === 0),
  { path: ["REDIS_URL"], message: "set either REDIS_URL or REDIS_CLUSTER_NODES" },
);

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
