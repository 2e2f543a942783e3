import type { CardCache } from "../../infra/card-cache/port.ts";
import type { FeedCache } from "../../infra/feed-cache/port.ts";
import type { Authentication } from "../../infra/http/authenticate.ts";
import type { Progress } from "../../infra/http/positions.ts";
import type { RateLimits } from "../../infra/http/rate-limit.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import type { LiveSql } from "../../projections/runner/live-schemas.ts";

/** What the query edge works with. */
export interface QueryServices extends Authentication {
  /**
   * The live versions of the read model and the manifests: a replica of them will do, if `progress`
   * looks at the same one.
   */
  readonly sql: SqlQueries;
  /**
   * The same, and no replica: a feed is filled from it after its claim, and must then hold every post
   * that was fanned out before; and so it is with cards and what was evicted.
   */
  readonly primary: SqlQueries;
  /** Where `primary` looks which versions are live. Without it they never change. */
  readonly live?: Pick<LiveSql, "pointer" | "invalidate">;
  /** By reader: their feeds. */
  readonly cache: FeedCache;
  /** By author: their own posts, for readers who pull. */
  readonly authorCache: FeedCache;
  readonly cardCache: CardCache;
  readonly progress: Progress;
  readonly rateLimits: Pick<RateLimits, "queries">;
  readonly logger: Logger;
}
