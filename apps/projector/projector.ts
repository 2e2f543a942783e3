import type { Engines } from "../../infra/config/engines.ts";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { createCards } from "../../projections/cards/cards.ts";
import { createFeeds } from "../../projections/feeds/feeds.ts";
import { dropWhenHostChanged } from "../../projections/manifests/host.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { ensureProjection } from "../../projections/runner/control.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import type { Progress } from "../../projections/runner/progress.ts";
import { startProjector } from "../../projections/runner/runner.ts";
import { starting, type Stoppable } from "../stoppable.ts";
import { startLane } from "./lanes/lane.ts";
import { purgeLane } from "./lanes/purges.ts";
import { notificationLane, signedUploadLane } from "./lanes/uploads.ts";
import { endAccount } from "./reactors/end-account.ts";
import { purgeMedia } from "./reactors/purge-media.ts";
import { startReactor } from "./reactors/reactor.ts";
import { ensureTopics } from "./topics.ts";

/** Longer than another edge believes in a session that has ended. */
const closingGraceMs = 15_000;

/** Keeps the projections, and carries on what must follow from events. */
export function runProjector(
  engines:
    & Pick<Engines, "log" | "sql" | "feedCache" | "authorCache" | "cardCache" | "store" | "edge">
    & { readonly sealer: TextSealer },
  options: {
    readonly cdnBaseUrl: string;
    /** Followers from which on an author's posts are left to readers. */
    readonly pullThreshold: number;
    readonly progress: Progress;
    readonly logger: Logger;
    /** See `dropWhenHostChanged`: only for a run with no other to serve from meanwhile. */
    readonly remakeManifests: boolean;
  },
): Promise<Stoppable> {
  const { log, sql, feedCache, authorCache, cardCache, store, edge, sealer } = engines;
  const { cdnBaseUrl, pullThreshold, progress, logger } = options;
  const live = new LiveSql(sql);
  return starting(async (started) => {
    await ensureTopics(log);
    const manifests = createManifests({ cdnBaseUrl });
    const cards = createCards({ cardCache });
    const feeds = createFeeds({ cache: feedCache, authorCache, sql: live, pullThreshold });
    const projections = [readModel, manifests, cards, feeds.projection];
    for (const projection of projections) await ensureProjection(sql, log, projection);
    if (options.remakeManifests && await dropWhenHostChanged(sql, live, manifests, cdnBaseUrl)) {
      logger.info("variants are served from another host now: manifests are made again");
      // What is kept of them meanwhile must go too: every event is passed on once more, after them.
      await sql.query("DELETE FROM projections.checkpoints WHERE projection = $1", [cards.name]);
    }
    started.add(feeds.worker.start(logger.with({ part: "feeds" })));
    started.add(await startProjector({ log, sql, projections, sealer, logger, progress }));

    const services = {
      log,
      store,
      edge,
      sql: live,
      sealer,
      progress,
      logger: logger.with({ part: "reactor" }),
      now: () => new Date(),
      newId,
    };
    for (const reactor of [purgeMedia(services), endAccount(services, closingGraceMs)]) {
      started.add(await startReactor(reactor, services));
    }
    const lanes = [purgeLane, signedUploadLane, notificationLane];
    for (const lane of lanes) {
      started.add(await startLane(lane(services), { ...services, sql }));
    }
    return started;
  });
}
