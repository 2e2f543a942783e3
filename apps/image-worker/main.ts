import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { openImages } from "../../infra/config/images.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { runProcess } from "../process.ts";
import { serve } from "../serve.ts";
import { starting } from "../stoppable.ts";
import { startImageWorker } from "./worker.ts";

const help = `deno task image-worker

Makes three variants of every photograph that is uploaded. Processes share the work: start more of them
to go faster; each resizes IMAGE_CONCURRENCY at a time.
The README lists the environment; .env.example shows it. SIGTERM drains it.`;

await runProcess({
  help,
  config: loadNetworkedConfig,
  start: (config, logger) =>
    starting(async (started) => {
      const engines = new NetworkedEngines(config, logger);
      started.add({ stop: () => engines.close() });
      const log = await engines.log();
      const store = engines.store();
      const processor = openImages(config, logger);
      started.add({ stop: () => processor.close() });
      started.add(
        await startImageWorker({
          log,
          store,
          processor,
          logger,
          now: () => new Date(),
          newId,
          concurrency: config.IMAGE_CONCURRENCY,
        }),
      );
      const checks = { log: () => log.watermarks(["media"]), store: () => store.check() };
      started.add(await serve(config, logger, { role: "image-worker", checks }));
      return started;
    }),
});
