import { parseArgs } from "node:util";
import type { Letter } from "../apps/operator/dlq.ts";
import type { Told } from "../apps/operator/operation.ts";
import { table } from "./client/terminal.ts";
import { type Operator, Refused, whereHelp } from "./operator/operator.ts";
import { runTask } from "./operator/task.ts";

const help = `The events that did not fit, and what waits behind them.

  deno task dlq list                 what is parked, each key's events in their order
  deno task dlq show <id>            one of them: why, and the record as it lies in the log
  deno task dlq redrive <id>         applies it and all that is parked of its key, in order; what
                                     comes after the projection (feeds, cards) is told as well
  deno task dlq redrive --key K      the same for a key, --projection P for all that a projection has
                                     parked, --all for everything
  deno task dlq drop <id> | --key K  gives it up: shows what is lost, and with --yes forgets it. Later
                                     events of a key apply again once none of it is parked
      --key K           a post's, an account's, a medium's id; posts/<id> to name the topic as well
      --projection P    read_model, manifests, cards, feeds or image-worker
      --json            for programs
      --help            shows this

Of an image worker's letters, redrive gives the medium its attempts again.
${whereHelp}

Ends with 0 when nothing is parked (any more) of what was asked about, 1 when something is, 2 when it
could not be told or drop was not certain.`;

interface Options {
  readonly key?: string;
  readonly projection?: string;
  readonly all: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

async function main(open: () => Promise<Operator>, told: Told): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      key: { type: "string" },
      projection: { type: "string" },
      all: { type: "boolean", default: false },
      yes: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [command, id, ...rest] = positionals;
  const run = { list, show, redrive, drop }[command ?? ""];
  if (!run) {
    throw new Refused(
      command === undefined
        ? "say list, show, redrive or drop: see deno task dlq --help"
        : `there is no ${command}: see deno task dlq --help`,
    );
  }
  if (rest.length > 0) throw new Refused(`one letter at a time: ${rest[0]} is too many`);
  if (values.yes && command !== "drop") throw new Refused("--yes belongs to drop");
  if (values.all && command !== "redrive") throw new Refused("--all belongs to redrive");
  return await run(open, id, values, told);
}

type Command = (
  open: () => Promise<Operator>,
  id: string | undefined,
  options: Options,
  told: Told,
) => Promise<number>;

const list: Command = async (open, id, options, told) => {
  if (id !== undefined) throw new Refused(`list takes no id; deno task dlq show ${id}`);
  const found = await (await open()).ask("dlq.list", selected(undefined, options), told);
  const { letters, total } = found;
  if (options.json) console.log(JSON.stringify(found));
  else if (total === 0) console.log("Nothing is parked.");
  else {
    for (const [heading, its] of Map.groupBy(letters, headingOf)) {
      const [first] = its;
      console.log(`${heading}: ${its.length} since ${first?.parkedAt}`);
      console.log(table(its.map(({ id, category, message }) => ["", id, category, message])));
    }
    if (total > letters.length) console.log(`and ${total - letters.length} more`);
  }
  return total === 0 ? 0 : 1;
};

const show: Command = async (open, id, { json }, told) => {
  if (id === undefined) throw new Refused("show takes an id: see deno task dlq list");
  const letter = await (await open()).ask("dlq.show", { id }, told);
  const { record, ...why } = letter;
  if (json) console.log(JSON.stringify(letter));
  else {
    console.log(table(Object.entries(why).map(([name, text]) => [name, text])));
    if (!record) console.log("\nThe log holds no such record any more; it can only be dropped.");
    else console.log(`\n${JSON.stringify(record, null, 2)}`);
  }
  return 1;
};

const redrive: Command = async (open, id, options, told) => {
  const named = id ?? options.key ?? options.projection;
  if (named === undefined && !options.all) {
    throw new Refused("redrive takes an id, --key, --projection or --all");
  }
  if (named !== undefined && options.all) throw new Refused(`--all leaves no choice of ${named}`);
  const found = await (await open()).ask("dlq.redrive", selected(id, options), told);
  const stuck = found.redriven.filter((key) => key.stuck);
  if (options.json) console.log(JSON.stringify(found));
  else {
    for (const { parkedBy, topic, key, applied, stuck } of found.redriven) {
      console.log(`${parkedBy} ${topic}/${key}: ${applied} ${what(parkedBy)}`);
      if (stuck) {
        console.log(`  ${stuck.id} still does not fit: ${stuck.category}: ${stuck.message}`);
      }
    }
    console.log(
      `${found.redriven.length - stuck.length} keys healed, ${stuck.length} still parked`,
    );
  }
  return stuck.length > 0 ? 1 : 0;
};

const drop: Command = async (open, id, options, told) => {
  if ((id === undefined) === (options.key === undefined)) {
    throw new Refused(
      "drop takes the id of a letter, or --key and the key whose letters are to go",
    );
  }
  const asked = { ...selected(id, options), certain: options.yes };
  const found = await (await open()).ask("dlq.drop", asked, told);
  const { letters, dropped, behind } = found;
  if (options.json) console.log(JSON.stringify(found));
  else {
    console.log(dropped ? "Forgotten:" : "This would be lost:");
    console.log(
      table(letters.map(({ id, topic, key, message }) => ["", id, `${topic}/${key}`, message])),
    );
    if (behind > 0) {
      console.log(`${behind} are still parked of the same keys: deno task dlq redrive --key …`);
    }
  }
  if (!dropped) console.error("Nothing was changed. Say --yes if you are certain.");
  return !dropped ? 2 : behind > 0 ? 1 : 0;
};

function selected(id: string | undefined, { key, projection }: Options) {
  return {
    ...(id !== undefined && { id }),
    ...(key !== undefined && { key }),
    ...(projection !== undefined && { parkedBy: projection }),
  };
}

function headingOf({ parkedBy, topic, key }: Letter): string {
  return `${parkedBy} ${topic}/${key}`;
}

function what(parkedBy: string): string {
  return parkedBy === "image-worker" ? "given its attempts again" : "applied";
}

await runTask({ help, run: main });
