import { topics } from "../../domain/event.ts";
import type { Config } from "../../infra/config/config.ts";
import type { EmbeddedEngines } from "../../infra/config/embedded.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { createEdge } from "../../infra/http/edge.ts";
import { health } from "../../infra/http/health.ts";
import { hotPath, pathOf } from "../../infra/http/hot-path.ts";
import { createRateLimits } from "../../infra/http/rate-limit.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { followFeeds } from "../../projections/feeds/live-feeds.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { startCommandEdge } from "../commands/command-edge.ts";
import { commandRoutes } from "../commands/commands.ts";
import { startImageWorker } from "../image-worker/worker.ts";
import { runProjector } from "../projector/projector.ts";
import { ensureTopics } from "../projector/topics.ts";
import { listenForOperator } from "../operator/socket.ts";
import { createQueries } from "../queries/queries.ts";
import * as queryRoutes from "../queries/routes.ts";
import { starting, type Stoppable } from "../stoppable.ts";
import { createWeb } from "../web/web.ts";

/** The whole product on these engines, every role in this process. */
export interface Product extends Stoppable {
  fetch(request: Request, info: Deno.ServeHandlerInfo): Response | Promise<Response>;
}

export function startProduct(
  config: Config,
  baseUrl: string,
  engines: EmbeddedEngines,
  logger: Logger,
): Promise<Product> {
  const { log, sql, feedCaches, store, identity } = engines;
  const live = new LiveSql(sql);
  const { feedCache: cache, authorCache } = followFeeds(live, feedCaches);
  const progress = new Progress(sql);
  const cdnBaseUrl = config.CDN_BASE_URL ?? `${baseUrl}/cdn`;
  return starting(async (started) => {
    await ensureTopics(log);
    const caughtUp = await whenCaughtUp(log, progress);
    started.add(
      await runProjector(engines, {
        cdnBaseUrl,
        pullThreshold: config.FEED_PULL_THRESHOLD,
        progress,
        logger,
        remakeManifests: true,
      }),
    );
    started.add(
      await startImageWorker({
        log,
        store,
        processor: engines.images,
        logger: logger.with({ part: "image-worker" }),
        now: () => new Date(),
        newId,
        concurrency: config.IMAGE_CONCURRENCY,
      }),
    );
    const rateLimits = createRateLimits({ logger, scale: config.RATE_LIMIT_SCALE });
    const shared = { sql: live, progress, rateLimits, logger };
    const commands = started.add(startCommandEdge(engines, shared));
    const cached = { cache, authorCache, live };
    const queries = createQueries({ ...engines, ...shared, primary: shared.sql, ...cached });
    started.add(queries);

    const { FEED_PULL_THRESHOLD: pullThreshold } = config;
    const operated = { ...engines, live, cdnBaseUrl, pullThreshold, logger };
    started.add(await listenForOperator(config.DATA_DIR, operated));

    const edge = createEdge({
      logger,
      metrics,
      corsOrigins: config.CORS_ORIGINS,
      trustedProxies: 0,
    });
    edge.route("/", commands.app);
    edge.route("/", queries.app);
    edge.route(
      "/",
      await createWeb({ routes: [...commandRoutes, ...Object.values(queryRoutes)] }),
    );
    const checks = {
      log: () => log.watermarks(topics),
      sql: () => sql.query("SELECT"),
      store: () => store.check(),
      identity: () => identity.check(),
      feeds: () => feedCaches.check(),
      projections: caughtUp,
    };
    edge.route("/", health({ checks, metrics }));
    const hot = hotPath({
      ...engines,
      logger,
      metrics,
      corsOrigins: config.CORS_ORIGINS,
      limit: rateLimits.queries,
      routes: queries.hot,
    });
    return {
      fetch: (request, info) => {
        const answer = hot(request);
        if (answer) return answer;
        const path = pathOf(request.url);
        if (path.startsWith("/store/")) return engines.storeEndpoint(request);
        if (path.startsWith("/cdn/")) return engines.cdn(request);
        return edge.fetch(request, info);
      },
      stop: () => started.stop(),
    };
  });
}

/** A check that passes once the projections have seen all that the log held at the start. */
async function whenCaughtUp(log: EventLog, progress: Progress): Promise<() => Promise<void>> {
  const ends = (await log.watermarks(topics)).filter(({ high }) => high > 0)
    .map(({ topic, partition, high }) => ({ topic, partition, offset: high - 1 }));
  let reached = false;
  return async () => {
    reached ||= await progress.reached(ends, ["read_model", "manifests", "feeds", "cards"], 1_000);
    if (!reached) throw new Error("the projections have not caught up with the log yet");
  };
}
