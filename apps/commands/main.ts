import { topics } from "../../domain/event.ts";
import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { runProcess } from "../process.ts";
import { ensureTopics } from "../projector/topics.ts";
import { serve } from "../serve.ts";
import { starting } from "../stoppable.ts";
import { startCommandEdge } from "./command-edge.ts";

const help = `deno task commands

Takes commands over HTTP and appends what they decide to the log. Start as many as there is load for.
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
      const store = engines.store();
      const identities = await engines.identity();
      await ensureTopics(log);
      const commands = started.add(startCommandEdge({ log, store, ...identities }, {
        sql: new LiveSql(sql),
        progress: new Progress(sql),
        rateLimits: engines.rateLimits(),
        logger,
      }));
      const checks = {
        log: () => log.watermarks(topics),
        sql: () => sql.query("SELECT"),
        store: () => store.check(),
        identity: () => identities.identity.check(),
      };
      const mount = (edge: { route(path: string, app: typeof commands.app): unknown }) => {
        edge.route("/", commands.app);
        return Promise.resolve();
      };
      started.add(await serve(config, logger, { role: "commands", checks, mount }));
      return started;
    }),
});
