import type { FeedCache } from "../../infra/feed-cache/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";

/** What the feeds projection works with. */
export interface FeedsServices {
  readonly cache: FeedCache;
  /** The read model, as it is now: not a replica of it. */
  readonly sql: SqlQueries;
}
