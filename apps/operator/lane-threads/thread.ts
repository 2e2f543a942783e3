/// <reference lib="deno.worker" />
import { openFillEngines } from "../../../infra/config/fill-engines.ts";
import { createLogger } from "../../../infra/telemetry/logger.ts";
import { type Lane, openLane } from "../../../projections/runner/lane.ts";
import { transactionalDefinitions } from "../../projector/transactional.ts";
import { statementTimeout } from "../operation.ts";
import { failureOf, type Opening, type Reply, type Request } from "./messages.ts";

/** A thread that fills: its engines are its own, and so are the keys of text that it has asked for. */
let engines: Awaited<ReturnType<typeof openFillEngines>> | undefined;
let lane: Lane | undefined;
const filling = new Map<number, AbortController>();

self.onmessage = async ({ data: request }: MessageEvent<Request>) => {
  if (request.op === "cut off") return filling.get(request.call)?.abort();
  const reply = (reply: Reply) => self.postMessage(reply);
  const { call } = request;
  try {
    if (request.op === "open") lane = await open(request.opening);
    else if (request.op === "close") await engines?.close();
    else {
      const cutOff = new AbortController();
      filling.set(call, cutOff);
      await lane?.fill(request.stretch, cutOff.signal, (passed) => reply({ call, passed }));
    }
    reply({ call, done: true });
  } catch (error) {
    reply({ call, failure: failureOf(error) });
  } finally {
    filling.delete(call);
  }
};

async function open({ config, projection: { name, version }, ...options }: Opening): Promise<Lane> {
  const definition = transactionalDefinitions({ cdnBaseUrl: config.CDN_BASE_URL })
    .find((one) => one.name === name);
  if (!definition) throw new Error(`no thread can fill ${name}`);
  const logger = createLogger({ level: "warn", format: "text" });
  engines = await openFillEngines(config, { statementTimeout }, logger);
  return openLane({ ...engines, ...options, projection: definition.at(version).projection });
}
