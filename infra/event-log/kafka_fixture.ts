import { silentLogger } from "../telemetry/logger.ts";
import { play } from "./contract_roles.ts";
import { openKafkaLog } from "./kafka.ts";

const [brokers = "", ...args] = Deno.args;
const log = await openKafkaLog({
  brokers: brokers.split(","),
  replicationFactor: 3,
  minInsyncReplicas: 2,
  logger: silentLogger,
});
await play(log, args);
