import { InvalidConfiguration, loadConfig } from "../../infra/config/config.ts";
import { FolderInUse, openEmbedded } from "../../infra/config/embedded.ts";
import { createLogger } from "../../infra/telemetry/logger.ts";
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

async function main(): Promise<number> {
  if (Deno.args.includes("--help")) {
    console.log(help);
    return 0;
  }
  const config = loadConfig();
  const format = config.LOG_FORMAT ?? (Deno.stderr.isTerminal() ? "text" : "json");
  const logger = createLogger({ level: config.LOG_LEVEL, format });

  // It listens before anything is opened, so that a taken port is known at once and probes are
  // answered while a long log is read.
  let product: Product | undefined;
  const starting = () =>
    new Response("starting\n", { status: 503, headers: { "Retry-After": "1" } });
  const server = Deno.serve({
    hostname: config.HOST,
    port: config.PORT,
    onListen: () => {},
    handler: (request, info) => product ? product.fetch(request, info) : starting(),
  });
  const baseUrl = config.PUBLIC_URL ?? `http://${config.HOST}:${server.addr.port}`;

  const asked = Promise.withResolvers<void>();
  const onSignal = () => asked.resolve();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, onSignal);

  const engines = await openEmbedded(config, baseUrl, logger);
  try {
    product = await startProduct(config, baseUrl, engines, logger);
    console.log(`Shutterlog is at ${baseUrl}

  ${baseUrl}/docs      the HTTP interface, to try out
  ${baseUrl}/readyz    whether its engines answer
  ${baseUrl}/metrics   for Prometheus

Fill it with photographs:  deno task demo${config.PORT === 8000 ? "" : ` --base-url ${baseUrl}`}
State is kept in ${config.DATA_DIR}/. Ctrl-C ends it.`);
    await asked.promise;
    // A second signal ends it at once; nothing acknowledged is lost by that either.
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.removeSignalListener(signal, onSignal);
    }
    await server.shutdown();
    await product.stop();
  } finally {
    await engines.close();
  }
  return 0;
}

/** Troubles of a start that have a remedy are told without a stack trace. */
function explain(error: unknown): string {
  if (error instanceof InvalidConfiguration) return error.message;
  if (error instanceof FolderInUse) {
    return `${error.message}. End it, or set DATA_DIR to another folder.`;
  }
  if (error instanceof Deno.errors.AddrInUse) {
    return "The port is taken. End what listens there, or choose another: PORT=8001 deno task dev";
  }
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

if (import.meta.main) {
  Deno.exit(
    await main().catch((error) => {
      console.error(explain(error));
      return 1;
    }),
  );
}
