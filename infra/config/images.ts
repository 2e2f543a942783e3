import { createIsolatedProcessor, type IsolatedProcessor } from "../images/isolated.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { CommonConfig } from "./config.ts";

/** A module of its own, since nothing that answers requests may load what handles image bytes. */
export function openImages(config: CommonConfig, logger: Logger): IsolatedProcessor {
  return createIsolatedProcessor({ processes: config.IMAGE_CONCURRENCY, logger });
}
