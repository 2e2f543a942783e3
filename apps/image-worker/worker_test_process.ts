/** A worker to be killed: `worker_test_process.ts <folder>` says on standard output when it resizes. */
import { createIsolatedProcessor } from "../../infra/images/isolated.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { startImageWorker } from "./worker.ts";
import { openEngines } from "./worker_test_engines.ts";

const [folder = ""] = Deno.args;
const processor = createIsolatedProcessor({ processes: 1, logger: silentLogger });
await startImageWorker({
  ...await openEngines(folder),
  processor: {
    recipe: processor.recipe,
    process(original) {
      const made = processor.process(original);
      console.log("resizing");
      return made;
    },
  },
  logger: silentLogger,
  now: () => new Date(),
  newId,
});
