import { Hono } from "hono";
import type { Registry } from "prom-client";
import type { HttpEnv } from "./env.ts";

/** Milliseconds an engine has to answer. */
const checkTimeout = 2_000;

/** By name; each resolves when its engine answers and rejects otherwise. */
export type Checks = Readonly<Record<string, () => Promise<unknown>>>;

/**
 * `/healthz`: this process answers. `/readyz`: so do its engines, within two seconds; 503 names those
 * that do not. `/metrics`: in Prometheus's text format.
 *
 * @example
 * ```ts
 * edge.route("/", health({ checks: { log: () => log.watermarks([]) }, metrics }));
 * ```
 */
export function health(
  { checks, metrics, timeout = checkTimeout }: {
    checks: Checks;
    metrics: Registry;
    timeout?: number;
  },
): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>();
  app.get("/healthz", (c) => c.json({ status: "alive" }));
  app.get("/readyz", async (c) => {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) =>
        [name, await answers(check, timeout) ? "ok" : "failed"] as const
      ),
    );
    const ready = results.every(([, result]) => result === "ok");
    const status = ready ? "ready" : "not ready";
    return c.json({ status, checks: Object.fromEntries(results) }, ready ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    const text = await metrics.metrics();
    return c.body(text, 200, { "Content-Type": metrics.contentType });
  });
  return app;
}

async function answers(check: () => Promise<unknown>, timeout: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("timed out")), timeout);
  });
  try {
    await Promise.race([check(), late]);
    return true;
  } catch {
    // Which engine is said; why is in that engine's own log, not for the network.
    return false;
  } finally {
    clearTimeout(timer);
  }
}
