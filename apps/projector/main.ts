import { topics } from "../../domain/event.ts";
import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { patient, Progress } from "../../projections/runner/progress.ts";
import { runProcess } from "../process.ts";
import { serve } from "../serve.ts";
import { starting } from "../stoppable.ts";
import { runProjector } from "./projector.ts";

const help = `deno task projector

Makes the read model, the feeds and the manifests from the log, and carries on what must follow from
events. Processes share the partitions: start more of them to go faster.
The README lists the environment; .env.example shows it. SIGTERM drains it.`;

await runProcess({
  help,
  config: loadNetworkedConfig,
  start: (config, logger) =>
    starting(async (started) => {
      const engines = new NetworkedEngines(config, logger);
      started.add({ stop: () => engines.close() });
      const log = await engines.log();
      const sql = await engines.sql();
      const feedCaches = engines.feedCaches();
      const cardCache = engines.cardCache();
      const store = engines.store();
      const edge = engines.edge();
      const { sealer } = await engines.identity();
      started.add(
        await runProjector({ log, sql, feedCaches, cardCache, store, edge, sealer }, {
          cdnBaseUrl: config.CDN_BASE_URL,
          pullThreshold: config.FEED_PULL_THRESHOLD,
          progress: new Progress(sql, patient),
          logger,
          remakeManifests: false,
        }),
      );
      const checks = {
        log: () => log.watermarks(topics),
        sql: () => sql.query("SELECT"),
        feeds: () => feedCaches.check(),
        cards: () => cardCache.check(),
        store: () => store.check(),
      };
      started.add(await serve(config, logger, { role: "projector", checks }));
      return started;
    }),
});
