import type { OpenAPIHono } from "@hono/zod-openapi";
import type { NetworkedConfig } from "../infra/config/config.ts";
import { createEdge } from "../infra/http/edge.ts";
import type { HttpEnv } from "../infra/http/env.ts";
import { type Checks, health } from "../infra/http/health.ts";
import { hotPath, type HotPathOptions } from "../infra/http/hot-path.ts";
import type { Logger } from "../infra/telemetry/logger.ts";
import { metrics } from "../infra/telemetry/metrics.ts";
import type { Stoppable } from "./stoppable.ts";

/**
 * Serves a role's health and metrics, and what `mount` puts beside them. Stopping it takes no more
 * requests and finishes those in hand.
 */
export async function serve(
  config: NetworkedConfig,
  logger: Logger,
  options: {
    role: string;
    checks: Checks;
    mount?: (edge: OpenAPIHono<HttpEnv>) => Promise<void>;
    hot?: Omit<HotPathOptions, "logger" | "metrics" | "corsOrigins">;
  },
): Promise<Stoppable> {
  const edge = createEdge({
    logger,
    metrics,
    corsOrigins: config.CORS_ORIGINS,
    trustedProxies: config.TRUSTED_PROXIES,
  });
  await options.mount?.(edge);
  edge.route("/", health({ checks: options.checks, metrics }));
  const hot = options.hot &&
    hotPath({ logger, metrics, corsOrigins: config.CORS_ORIGINS, ...options.hot });
  const server = Deno.serve({
    hostname: config.HOST,
    port: config.PORT,
    onListen: ({ hostname, port }) =>
      logger.info("ready", { role: options.role, at: `http://${hostname}:${port}` }),
    handler: (request, info) => hot?.(request) ?? edge.fetch(request, info),
  });
  return { stop: () => server.shutdown() };
}
