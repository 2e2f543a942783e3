import type { Engines } from "../../infra/config/engines.ts";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { dropWhenHostChanged } from "../../projections/manifests/host.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import type { Progress } from "../../projections/runner/progress.ts";
import { superviseProjections } from "../../projections/runner/supervisor.ts";
import { starting, type Stoppable } from "../stoppable.ts";
import { announce, createDefinitions } from "./definitions.ts";
import { startLane } from "./lanes/lane.ts";
import { purgeLane } from "./lanes/purges.ts";
import { retirementLane } from "./lanes/retirements.ts";
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
    & Pick<Engines, "log" | "sql" | "feedCaches" | "cardCache" | "store" | "edge">
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
  const { log, sql, store, edge, sealer } = engines;
  const { cdnBaseUrl, pullThreshold, progress, logger } = options;
  const live = new LiveSql(sql);
  return starting(async (started) => {
    await ensureTopics(log);
    if (options.remakeManifests && await dropWhenHostChanged(sql, live, cdnBaseUrl)) {
      logger.info("variants are served from another host now: manifests are made again");
    }
    started.add(
      await superviseProjections({
        log,
        sql,
        definitions: createDefinitions({ ...engines, live, cdnBaseUrl, pullThreshold }),
        sealer,
        logger,
        progress,
        announce: (projection) => announce(projection, engines),
      }),
    );

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
    const lanes = [purgeLane, retirementLane, signedUploadLane, notificationLane];
    for (const lane of lanes) {
      started.add(await startLane(lane(services), { ...services, sql }));
    }
    return started;
  });
}
