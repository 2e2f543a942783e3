import { parseArgs } from "node:util";
import type { Told } from "../apps/operator/operation.ts";
import type { Output } from "../apps/operator/operations.ts";
import { table } from "./client/terminal.ts";
import { type Operator, Refused, whereHelp } from "./operator/operator.ts";
import { runTask } from "./operator/task.ts";

const help =
  `Shows, makes anew and checks what is derived from the log: read_model, manifests, feeds, cards.

  deno task projections status [name]       versions, checkpoints, lag, rate, parked keys
      --partitions                          each partition's checkpoint and lag as well
  deno task projections rebuild <name>      fills the next version from the log while the live one
                                            serves, compares the two and switches; the old one is kept
  deno task projections rollback <name>     goes back to the version that was live before
  deno task projections verify <name>       recomputes it from the log and lists the differences
  deno task projections drop <name> <n>     drops a version that is not live: one that is kept, or one
                                            that a rebuild has left
      --json                                for programs
      --help                                shows this

Ctrl-C calls a rebuild off without a trace, until it has switched. A rebuild that was killed goes on
where it was when it is asked for again. feeds and cards hold nothing that the read model does not: their
next version begins empty, and the feeds that are cached are filled before it serves.
${whereHelp}

Ends with 0 when all is right, 1 when something differs or is parked, 2 when it could not be told, 130
when it was called off.`;

interface Options {
  readonly json: boolean;
  readonly partitions: boolean;
}

async function main(open: () => Promise<Operator>, told: Told): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      partitions: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [command, projection, version, ...rest] = positionals;
  if (command === "status" && version === undefined) {
    return await status(await open(), projection, values);
  }
  const commands = ["rebuild", "rollback", "verify", "drop"];
  if (command === undefined || !commands.includes(command)) {
    throw new Refused(
      command === "status"
        ? "status takes one projection, or none: deno task projections status read_model"
        : command === undefined
        ? "say status, rebuild, rollback, verify or drop: see deno task projections --help"
        : `there is no ${command}: see deno task projections --help`,
    );
  }
  const complete = command === "drop"
    ? version !== undefined && /^\d+$/.test(version)
    : version === undefined;
  if (projection === undefined || !complete || rest.length > 0) {
    const example = command === "drop" ? "drop read_model 1" : `${command} read_model`;
    throw new Refused(
      `it takes ${example.split(" ").length - 1} names: deno task projections ${example}`,
    );
  }
  const operator = await open();
  switch (command) {
    case "rebuild":
      return rebuilt(await operator.ask("projections.rebuild", { projection }, told), values);
    case "verify":
      return verified(await operator.ask("projections.verify", { projection }, told), values);
    case "rollback": {
      const back = await operator.ask("projections.rollback", { projection }, told);
      if (values.json) console.log(JSON.stringify(back));
      else {
        console.log(
          `${projection} v${back.version} is live again, after ${back.records} records it lacked; ` +
            `v${back.previous} is kept`,
        );
        tellUnfinished(back.unfinished);
      }
      return 0;
    }
    default: {
      const dropped = await operator.ask("projections.drop", {
        projection,
        version: Number(version),
      });
      if (values.json) console.log(JSON.stringify(dropped));
      else console.log(`${projection} v${dropped.version} is gone`);
      return 0;
    }
  }
}

async function status(operator: Operator, projection: string | undefined, options: Options) {
  const versions = await operator.ask(
    "projections.status",
    projection === undefined ? {} : { projection },
  );
  if (options.json) console.log(JSON.stringify(versions));
  else {
    console.log(table([
      ["projection", "version", "state", "lag", "records/s", "parked keys"],
      ...versions.map((one) => [
        one.projection,
        `v${one.version}`,
        one.state,
        one.lag,
        one.perSecond,
        one.parkedKeys,
      ]),
    ]));
    if (options.partitions) { for (const one of versions) console.log(`\n${partitionsOf(one)}`); }
    const parked = versions.filter((one) => one.state === "live" && one.parkedKeys > 0);
    for (const { projection, version, parkedKeys, parked: some } of parked) {
      const more = parkedKeys > some.length ? ` and ${parkedKeys - some.length} more` : "";
      console.log(`\n${projection} v${version} has parked ${some.join(", ")}${more}`);
    }
    if (parked.length > 0) console.log("\nmend the cause and redrive them: deno task dlq list");
  }
  return versions.some((one) => one.state === "live" && one.parkedKeys > 0) ? 1 : 0;
}

/** A line for each topic: what each partition reads next, and what it lacks. */
function partitionsOf(one: Output<"projections.status">[number]): string {
  const topics = Map.groupBy(one.partitions, ({ topic }) => topic);
  const rows = Array.from(topics, ([topic, partitions]) => [
    topic,
    ...partitions.map(({ checkpoint, lag }) => lag === 0 ? checkpoint : `${checkpoint}-${lag}`),
  ]);
  return `${one.projection} v${one.version}, offset-lag by partition\n${table(rows)}`;
}

function rebuilt(outcome: Output<"projections.rebuild">, { json }: Options): number {
  if (json) console.log(JSON.stringify(outcome));
  else {
    const { projection, version, previous, resumed, records, seconds, dropped } = outcome;
    const rate = Math.round(records / Math.max(seconds, 0.001));
    console.log(
      `${projection} v${version} is live` +
        (records > 0
          ? `, filled in ${seconds.toFixed(1)} s with ${records} records (${rate}/s)`
          : "") +
        `${resumed ? ", gone on with" : ""}; v${previous} is kept` +
        (dropped.length > 0 ? `, ${dropped.map((one) => `v${one}`).join(", ")} dropped` : ""),
    );
    if (outcome.differences === null) {
      console.log("not compared with the version before it, which another release made");
    } else show(outcome.differences, "the version before it had otherwise");
    tellUnfinished(outcome.unfinished);
  }
  return (outcome.differences?.count ?? 0) > 0 ? 1 : 0;
}

/** On standard error: the switch is what was asked for, and was made. */
function tellUnfinished(unfinished: string | null): void {
  if (unfinished === null) return;
  console.error(
    `What follows the switch could not be finished here: ${unfinished}\n` +
      "Projectors do the rest as soon as they can; see deno task projections status.",
  );
}

function verified(outcome: Output<"projections.verify">, { json }: Options): number {
  if (json) console.log(JSON.stringify(outcome));
  else {
    console.log(`${outcome.projection} v${outcome.version} was compared with the log`);
    show(outcome.differences, "it has otherwise than the log says");
  }
  return outcome.differences.count > 0 ? 1 : 0;
}

function show({ count, some }: { count: number; some: readonly string[] }, what: string): void {
  if (count === 0) return console.log("no differences");
  console.log(`${count} that ${what}:`);
  for (const line of some) console.log(`  ${line}`);
  if (some.length < count) console.log(`  and ${count - some.length} more`);
}

await runTask({ help, run: main });
