import type { EdgeCache } from "./port.ts";

/** For variants that are served straight from the store, or by a CDN that is purged by other means. */
export const noEdgeCache: EdgeCache = { settlesWithinMs: 0, purge: () => Promise.resolve() };
