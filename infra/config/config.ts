import { z } from "zod";
import { levels } from "../telemetry/logger.ts";

/**
 * Configuration comes from the environment alone; every variable is named here, with its unit and
 * default. Times are in the unit the name ends in.
 */
const environment = z.object({
  /** Where the embedded run listens. 0 takes a free port. */
  PORT: z.coerce.number().int().min(0).max(65535).default(8000),
  HOST: z.string().min(1).default("127.0.0.1"),
  /** How clients reach the server, when that differs from where it listens. No trailing slash. */
  PUBLIC_URL: z.url({ protocol: /^https?$/ }).regex(/[^/]$/, "must not end in a slash").optional(),
  /** The folder that holds all state of the embedded run. */
  DATA_DIR: z.string().min(1).default(".shutterlog"),
  /** Where browsers fetch variants; the server's own `/cdn` when left out. No trailing slash. */
  CDN_BASE_URL: z.url({ protocol: /^https?$/ }).regex(/[^/]$/, "must not end in a slash")
    .optional(),
  /** Origins whose pages may call the API, comma-separated; `*` for any. */
  CORS_ORIGINS: z.string().default("*"),
  /** Images resized at a time by one image worker. */
  IMAGE_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
  /** Multiplies every rate limit; 0 switches them off. */
  RATE_LIMIT_SCALE: z.coerce.number().min(0).max(1000).default(1),
  LOG_LEVEL: z.enum(levels).default("info"),
  /** `text` for people, `json` for machines. Text on a terminal when left out. */
  LOG_FORMAT: z.enum(["text", "json"]).optional(),
});

export type Config = z.infer<typeof environment>;

export class InvalidConfiguration extends Error {
  override readonly name = "InvalidConfiguration";
}

/** @throws {InvalidConfiguration} naming each variable that is wrong and why. */
export function loadConfig(
  variables: Record<string, string | undefined> = Deno.env.toObject(),
): Config {
  const set = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  const parsed = environment.safeParse(set);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    `  ${path.join(".")}: ${message}`
  );
  throw new InvalidConfiguration(`the environment is not right:\n${problems.join("\n")}`);
}
