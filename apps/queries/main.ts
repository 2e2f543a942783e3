import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { followFeeds } from "../../projections/feeds/live-feeds.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { commandRoutes } from "../commands/commands.ts";
import { runProcess } from "../process.ts";
import { serve } from "../serve.ts";
import { starting } from "../stoppable.ts";
import { createWeb } from "../web/web.ts";
import { createQueries } from "./queries.ts";
import * as queryRoutes from "./routes.ts";

const help = `deno task queries

Answers queries over HTTP, and shows the interface's description at /docs. Start as many as there is
load for. The README lists the environment; .env.example shows it. SIGTERM drains it.`;

await runProcess({
  help,
  config: loadNetworkedConfig,
  start: (config, logger) =>
    starting(async (started) => {
      const engines = new NetworkedEngines(config, logger);
      started.add({ stop: () => engines.close() });
      const primary = new LiveSql(await engines.sql());
      const reads = engines.reads();
      const { feedCache: cache, authorCache } = followFeeds(primary, engines.feedCaches());
      const cardCache = engines.cardCache();
      const { sessions, accessTokens } = await engines.identity();
      const rateLimits = engines.rateLimits();
      const queries = createQueries({
        sql: new LiveSql(reads),
        primary,
        live: primary,
        cache,
        authorCache,
        cardCache,
        progress: new Progress(reads),
        sessions,
        accessTokens,
        rateLimits,
        logger,
      });
      started.add(queries);
      const routes = [...commandRoutes, ...Object.values(queryRoutes)];
      started.add(
        await serve(config, logger, {
          role: "queries",
          hot: { accessTokens, sessions, limit: rateLimits.queries, routes: queries.hot },
          checks: {
            sql: () => reads.query("SELECT"),
            feeds: () => cache.check(),
            cards: () => cardCache.check(),
          },
          async mount(edge) {
            edge.route("/", queries.app);
            edge.route("/", await createWeb({ routes }));
          },
        }),
      );
      return started;
    }),
});
