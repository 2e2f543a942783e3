import type { CardCache } from "../../infra/card-cache/port.ts";
import type { FeedCache } from "../../infra/feed-cache/port.ts";
import type { Authentication } from "../../infra/http/authenticate.ts";
import type { Progress } from "../../infra/http/positions.ts";
import type { RateLimits } from "../../infra/http/rate-limit.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";

/** What the query edge works with. */
export interface QueryServices extends Authentication {
  /**
   * The live versions of the read model and the manifests. It must not be a replica: a feed is
   * filled from it after its claim, and must then hold every post that was fanned out before; and so
   * it is with cards and what was evicted.
   */
  readonly sql: SqlQueries;
  readonly cache: FeedCache;
  readonly cardCache: CardCache;
  readonly progress: Progress;
  readonly rateLimits: Pick<RateLimits, "queries">;
  readonly logger: Logger;
}
