import { InvalidConfiguration } from "../infra/config/config.ts";
import { LogUnavailable, TopicMismatch } from "../infra/event-log/port.ts";
import { Refused, told } from "./client/terminal.ts";

/** Runs one of the commands, each a module of its own in `events/`, loaded when it is asked for. */
const commands: Readonly<
  Record<string, { what: string; load(): Promise<{ run(args: string[]): Promise<number> }> }>
> = {
  replay: {
    what: "the log as lines of JSON, in the order of time",
    load: () => import("./events/replay.ts"),
  },
  append: {
    what: "takes such lines into another, empty instance",
    load: () => import("./events/append.ts"),
  },
  export: {
    what: "files by type and day: Parquet, NDJSON or CSV; again and again, only what came since",
    load: () => import("./events/export.ts"),
  },
  query: {
    what: "SQL over the log, as it is or as it was",
    load: () => import("./events/query.ts"),
  },
};

const help = `The event log as a product for analysts.

  deno task -q events <command> [options]

${Object.entries(commands).map(([name, { what }]) => `  ${name.padEnd(7)} ${what}`).join("\n")}

deno task events <command> --help says more.

With KAFKA_BROKERS set it works on the networked engines, as the other processes do (.env.example has
the environment). Else on the folder DATA_DIR, .shutterlog when unset, also while deno task dev runs
on it. -q keeps Deno from naming the task, for pipes.

Ends with 0 when all is right, 1 when something was found wrong, 2 when it could not be done.`;

const [name, ...args] = Deno.args;
const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined;
try {
  if (name === "--help") {
    console.log(help);
    Deno.exit(0);
  }
  if (!command) {
    throw new Refused(
      name === undefined
        ? `say ${Object.keys(commands).join(", ")}: see deno task events --help`
        : `there is no ${name}: see deno task events --help`,
    );
  }
  const { run } = await command.load();
  Deno.exit(await run(args));
} catch (error) {
  console.error(told(error, [InvalidConfiguration, LogUnavailable, TopicMismatch]));
  Deno.exit(2);
}
