import { topics } from "../../domain/event.ts";
import type { Config } from "../../infra/config/config.ts";
import type { EmbeddedEngines } from "../../infra/config/embedded.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { createEdge } from "../../infra/http/edge.ts";
import { health } from "../../infra/http/health.ts";
import { Idempotency } from "../../infra/http/idempotency.ts";
import { createRateLimits } from "../../infra/http/rate-limit.ts";
import { startOutboxRelay } from "../../infra/identity/outbox.ts";
import { hashPassword, verifyPassword } from "../../infra/identity/passwords.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { createFeeds } from "../../projections/feeds/feeds.ts";
import { dropWhenHostChanged } from "../../projections/manifests/host.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { ensureProjection } from "../../projections/runner/control.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { startProjector } from "../../projections/runner/runner.ts";
import { commandRoutes, createCommands } from "../commands/commands.ts";
import { startImageWorker } from "../image-worker/worker.ts";
import { endAccount } from "../projector/reactors/end-account.ts";
import { purgeMedia } from "../projector/reactors/purge-media.ts";
import { startReactor } from "../projector/reactors/reactor.ts";
import { createQueries } from "../queries/queries.ts";
import * as queryRoutes from "../queries/routes.ts";
import { createWeb } from "../web/web.ts";

/** The whole product on these engines, every role in this process. */
export interface Product {
  fetch(request: Request, info: Deno.ServeHandlerInfo): Response | Promise<Response>;
  /** Finishes what is in hand. Requests should have stopped coming before. */
  stop(): Promise<void>;
}

/** Records of one aggregate type share this many partitions. */
const partitions = 16;

/** Longer than another edge believes in a session that has ended. */
const closingGraceMs = 15_000;

export async function startProduct(
  config: Config,
  baseUrl: string,
  engines: EmbeddedEngines,
  logger: Logger,
): Promise<Product> {
  const { log, sql, feedCache, store, identity, sealer } = engines;
  const now = () => new Date();
  const live = new LiveSql(sql);
  const progress = new Progress(sql);
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };

  try {
    await log.ensureTopics(topics.map((name) => ({ name, partitions })));
    const cdnBaseUrl = config.CDN_BASE_URL ?? `${baseUrl}/cdn`;
    const manifests = createManifests({ cdnBaseUrl });
    const projections = [readModel, manifests, createFeeds({ cache: feedCache, sql: live })];
    for (const projection of projections) await ensureProjection(sql, log, projection);
    if (await dropWhenHostChanged(sql, live, manifests, cdnBaseUrl)) {
      logger.info("variants are served from another host now: manifests are made again");
    }
    const outbox = startOutboxRelay({ identity, log, logger: logger.with({ part: "outbox" }) });
    stops.push(() => outbox.stop());
    const projector = await startProjector({ log, sql, projections, sealer, logger, progress });
    stops.push(() => projector.stop());

    const reactorServices = {
      log,
      store,
      sql: live,
      sealer,
      progress,
      logger: logger.with({ part: "reactor" }),
      now,
      newId,
    };
    for (
      const reactor of [purgeMedia(reactorServices), endAccount(reactorServices, closingGraceMs)]
    ) {
      const consumption = await startReactor(reactor, reactorServices);
      stops.push(() => consumption.stop());
    }
    const imageWorker = await startImageWorker({
      log,
      store,
      processor: engines.images,
      logger: logger.with({ part: "image-worker" }),
      now,
      newId,
      concurrency: config.IMAGE_CONCURRENCY,
    });
    stops.push(() => imageWorker.stop());

    const rateLimits = createRateLimits({ logger, scale: config.RATE_LIMIT_SCALE });
    const commands = createCommands({
      ...engines,
      passwords: { hash: hashPassword, verify: verifyPassword },
      outbox,
      sql: live,
      progress,
      rateLimits,
      idempotency: new Idempotency({
        identity,
        seal: engines.answerSeal,
        digest: engines.requestDigest,
        newId,
        now,
      }),
      now,
      newId,
    });
    const queries = createQueries({
      ...engines,
      cache: feedCache,
      sql: live,
      progress,
      rateLimits,
      logger,
    });
    stops.push(() => queries.drain());

    const caughtUp = await whenCaughtUp(log, progress);
    const edge = createEdge({
      logger,
      metrics,
      corsOrigins: config.CORS_ORIGINS.split(",").map((origin) => origin.trim()),
      trustedProxies: 0,
    });
    edge.route("/", commands);
    edge.route("/", queries.app);
    edge.route("/", await createWeb({ routes: [...commandRoutes, ...Object.values(queryRoutes)] }));
    edge.route(
      "/",
      health({
        checks: {
          log: () => log.watermarks(topics),
          sql: () => sql.query("SELECT"),
          store: () => store.check(),
          identity: () => identity.check(),
          feeds: () => feedCache.check(),
          projections: caughtUp,
        },
        metrics,
      }),
    );
    return {
      fetch: (request, info) => {
        const { pathname } = new URL(request.url);
        if (pathname.startsWith("/store/")) return engines.storeEndpoint(request);
        if (pathname.startsWith("/cdn/")) return engines.cdn(request);
        return edge.fetch(request, info);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A check that passes once the projections have seen all that the log held at the start. */
async function whenCaughtUp(log: EventLog, progress: Progress): Promise<() => Promise<void>> {
  const ends = (await log.watermarks(topics)).filter(({ high }) => high > 0)
    .map(({ topic, partition, high }) => ({ topic, partition, offset: high - 1 }));
  let reached = false;
  return async () => {
    reached ||= await progress.reached(ends, ["read_model", "manifests", "feeds"], 1);
    if (!reached) throw new Error("the projections have not caught up with the log yet");
  };
}
