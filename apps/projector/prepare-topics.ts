import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import { createLogger } from "../../infra/telemetry/logger.ts";
import { ensureTopics } from "./topics.ts";

// For compose.yaml: the store does not start before the topic is there that it notifies.
const config = loadNetworkedConfig();
const engines = new NetworkedEngines(
  config,
  createLogger({ level: config.LOG_LEVEL, format: "json" }),
);
await ensureTopics(await engines.log());
await engines.close();
console.log("the topics are ready");
