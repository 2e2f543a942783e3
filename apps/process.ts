import { type CommonConfig, InvalidConfiguration } from "../infra/config/config.ts";
import { createLogger, type Logger } from "../infra/telemetry/logger.ts";
import "../infra/telemetry/process.ts";
import type { Stoppable } from "./stoppable.ts";

/**
 * A process from its start to its end: `--help`, configuration, signals, exit code. SIGINT or SIGTERM
 * drains it; a second one ends it at once, by which nothing acknowledged is lost either.
 * @param options.explain troubles of a start that have a remedy, in a sentence that names it
 */
export async function runProcess<Config extends CommonConfig>(options: {
  readonly help: string;
  readonly config: () => Config;
  readonly start: (config: Config, logger: Logger) => Promise<Stoppable>;
  readonly explain?: (error: unknown) => string | undefined;
}): Promise<never> {
  if (Deno.args.includes("--help")) {
    console.log(options.help);
    Deno.exit(0);
  }
  try {
    const config = options.config();
    const format = config.LOG_FORMAT ?? (Deno.stderr.isTerminal() ? "text" : "json");
    const logger = createLogger({ level: config.LOG_LEVEL, format });
    const asked = Promise.withResolvers<void>();
    const onSignal = () => asked.resolve();
    const signals = ["SIGINT", "SIGTERM"] as const;
    for (const signal of signals) Deno.addSignalListener(signal, onSignal);
    const running = await options.start(config, logger);
    await asked.promise;
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
    await running.stop();
    Deno.exit(0);
  } catch (error) {
    console.error(explain(error) ?? options.explain?.(error) ?? stackOf(error));
    Deno.exit(1);
  }
}

function explain(error: unknown): string | undefined {
  if (error instanceof InvalidConfiguration) return error.message;
  if (error instanceof Deno.errors.AddrInUse) {
    return "The port is taken. End what listens there, or choose another with PORT.";
  }
  return undefined;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
