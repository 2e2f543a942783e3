import { type Config, loadConfig } from "../../infra/config/config.ts";
import { FolderInUse, openEmbedded } from "../../infra/config/embedded.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import { runProcess } from "../process.ts";
import { starting, type Stoppable } from "../stoppable.ts";
import { type Product, startProduct } from "./product.ts";

const help = `deno task dev

Runs the whole of Shutterlog in one process, on engines that need nothing installed: an event log in
SQLite, PostgreSQL in WebAssembly, feeds in memory, objects as files. Photographs are resized in child
processes. State is kept in .shutterlog/ and survives a restart.

  PORT=8000            where to listen
  HOST=127.0.0.1
  DATA_DIR=.shutterlog where state is kept
  LOG_LEVEL=info       debug, info, warn, error or silent

The README lists every variable. Ctrl-C ends it cleanly.`;

function start(config: Config, logger: Logger): Promise<Stoppable> {
  return starting(async (started) => {
    // It listens before anything is opened, so that a taken port is known at once and probes are
    // answered while a long log is read.
    const serving: { product?: Product } = {};
    const notYet = () =>
      new Response("starting\n", { status: 503, headers: { "Retry-After": "1" } });
    const server = Deno.serve({
      hostname: config.HOST,
      port: config.PORT,
      onListen: () => {},
      handler: (request, info) => serving.product?.fetch(request, info) ?? notYet(),
    });
    const baseUrl = config.PUBLIC_URL ?? `http://${config.HOST}:${server.addr.port}`;

    const engines = await openEmbedded(config, baseUrl, logger);
    started.add({ stop: () => engines.close() });
    serving.product = started.add(await startProduct(config, baseUrl, engines, logger));
    started.add({ stop: () => server.shutdown() });
    console.log(`Shutterlog is at ${baseUrl}

  ${baseUrl}/docs      the HTTP interface, to try out
  ${baseUrl}/readyz    whether its engines answer
  ${baseUrl}/metrics   for Prometheus

Fill it with photographs:  deno task demo${config.PORT === 8000 ? "" : ` --base-url ${baseUrl}`}
State is kept in ${config.DATA_DIR}/. Ctrl-C ends it.`);
    return started;
  });
}

if (import.meta.main) {
  await runProcess({
    help,
    config: loadConfig,
    start,
    explain: (error) =>
      error instanceof FolderInUse
        ? `${error.message}. End it, or set DATA_DIR to another folder.`
        : undefined,
  });
}
