/** What the tests of middleware share: an edge that says nothing and counts for itself. */
import { Registry } from "prom-client";
import { silentLogger } from "../telemetry/logger.ts";
import { createEdge, type EdgeOptions } from "./edge.ts";

export function testEdge(options: Partial<EdgeOptions> = {}) {
  return createEdge({
    logger: silentLogger,
    metrics: new Registry(),
    corsOrigins: ["*"],
    trustedProxies: 0,
    ...options,
  });
}

/** The last part of a problem's type, which is what clients tell problems apart by. */
export async function problemCode(response: Response): Promise<string> {
  const { type } = await response.json();
  return String(type).replace("/problems/", "");
}
