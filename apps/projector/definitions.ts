import type { Engines } from "../../infra/config/engines.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { createCards } from "../../projections/cards/cards.ts";
import { everything, keptOf } from "../../projections/cards/keys.ts";
import { createFeeds } from "../../projections/feeds/feeds.ts";
import { verifyFeeds } from "../../projections/feeds/verify.ts";
import { eachAccountId } from "../../projections/read-model/reads/each-account.ts";
import type { LiveSql } from "../../projections/runner/live-schemas.ts";
import { define, type Definition, type Projection } from "../../projections/runner/projection.ts";
import { FeedFiller } from "../queries/feed-filler.ts";
import { transactionalDefinitions } from "./transactional.ts";

export interface DefinitionServices extends Pick<Engines, "log" | "feedCaches" | "cardCache"> {
  readonly live: LiveSql;
  readonly cdnBaseUrl: string;
  readonly pullThreshold: number;
}

/** Every projection of the product, those that others come after first. */
export function createDefinitions(services: DefinitionServices): readonly Definition[] {
  const { cardCache, live } = services;
  return [
    ...transactionalDefinitions(services),
    define(createCards({ cardCache, live })),
    feedsDefinition(services),
  ];
}

/** The live version of each, as it is now. */
export async function liveProjections(services: DefinitionServices): Promise<Projection[]> {
  const { versions } = await services.live.refresh();
  return createDefinitions(services).map(({ name, at }) => at(versions.get(name) ?? 1).projection);
}

/** Another version of it is live now: nobody is to show what was kept of the one before. */
export async function announce(
  projection: string,
  { cardCache }: Pick<Engines, "cardCache">,
): Promise<void> {
  if (keptOf.includes(projection)) await cardCache.evict([everything]);
}

/** Feeds carried over at a time. */
const atATime = 50;

function feedsDefinition(
  { log, live, feedCaches, pullThreshold }: DefinitionServices,
): Definition {
  const at = (version: number) => {
    const { feedCache: cache, authorCache } = feedCaches.at(version);
    return { cache, authorCache, sql: live.pinned("feeds", version) };
  };
  const { name, topics } = createFeeds({ ...at(1), pullThreshold }).projection;
  return {
    name,
    revision: 1,
    topics,
    at(version) {
      const { projection, worker } = createFeeds({ ...at(version), pullThreshold });
      return {
        projection: { ...projection, version },
        start: (logger) => worker.start(logger.with({ part: "feeds" })),
      };
    },
    /** The feeds of those who have one are filled before they ask for it. */
    async carryOver(from, to, { signal, onStep }) {
      const [before, after] = [at(from), at(to)];
      const filler = new FeedFiller({ ...after, primary: after.sql, logger: silentLogger });
      let done = 0;
      for await (const { ids, of } of eachAccountId(live, atATime)) {
        signal.throwIfAborted();
        await Promise.all(ids.map(async (readerId) => {
          const { state } = await before.cache.read(readerId, { limit: 1 });
          if (state !== "complete") return;
          const claim = await after.cache.claim(readerId);
          if (claim) filler.fillFeed(claim);
        }));
        await filler.drain();
        done += ids.length;
        onStep({ what: "feeds", done, of: Math.max(of, done) });
      }
    },
    async differences(version, { onStep }) {
      const inspected = { log, ...at(version), feedsVersion: version };
      const { differences } = await verifyFeeds(inspected, {
        repair: false,
        onCompared: (done, of) => onStep({ what: "comparing", done, of }),
      });
      return differences.map(({ kind, id, missing, unknown }) =>
        `${kind} of ${id}: lacks ${missing.length}, has ${unknown.length} that the log does not know`
      );
    },
    drop: (version) => feedCaches.drop(version),
  };
}
