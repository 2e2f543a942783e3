import type { Engines } from "../../infra/config/engines.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { createCards } from "../../projections/cards/cards.ts";
import { createFeeds } from "../../projections/feeds/feeds.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import type { Projection } from "../../projections/runner/projection.ts";

export interface ProjectionServices
  extends Pick<Engines, "feedCache" | "authorCache" | "cardCache"> {
  /** The live versions. */
  readonly live: SqlQueries;
  readonly cdnBaseUrl: string;
  readonly pullThreshold: number;
}

/** Every projection there is, as this build makes them: each stands behind those it comes after. */
export function createProjections(
  { live, feedCache, authorCache, cardCache, cdnBaseUrl, pullThreshold }: ProjectionServices,
) {
  const manifests = createManifests({ cdnBaseUrl });
  const cards = createCards({ cardCache });
  const feeds = createFeeds({ cache: feedCache, authorCache, sql: live, pullThreshold });
  const all: readonly Projection[] = [readModel, manifests, cards, feeds.projection];
  return { all, manifests, cards, feeds };
}
