import { parseArgs } from "node:util";
import type { Told } from "../apps/operator/operation.ts";
import { type Operator, Refused, whereHelp } from "./operator/operator.ts";
import { runTask } from "./operator/task.ts";

const help = `Reads the whole log and lists the whole store, and says what is not as it must be.

  deno task log check     topics whose settings differ; offsets that are not there; events that
                          today's schemas cannot read; objects that no event accounts for, and events
                          whose objects are gone. Events appended twice are counted, which is no error
      --json              for programs
      --help              shows this

It changes nothing, and may run beside everything else. Objects younger than an hour are given the
time that an upload or a purge takes.
${whereHelp}

Ends with 0 when all is right, 1 when something is not, 2 when it could not be told.`;

async function main(open: () => Promise<Operator>, told: Told): Promise<number> {
  const { values: { json }, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: { json: { type: "boolean", default: false } },
  });
  const [command, ...more] = positionals;
  if (command !== "check") {
    throw new Refused(
      command === undefined
        ? "say check: see deno task log --help"
        : `there is no ${command}: see deno task log --help`,
    );
  }
  if (more.length > 0) throw new Refused(`check takes nothing more: ${more[0]}`);
  const found = await (await open()).ask("log.check", {}, told);
  const { topics, holes, unreadable, orphans, missing, records, objects, duplicates } = found;
  const wrong = topics.length + holes.count + unreadable.count + orphans.count + missing.count;
  if (json) console.log(JSON.stringify(found));
  else {
    for (const message of topics) console.log(message);
    say(
      holes,
      "offsets are not there",
      ({ topic, partition, from, to }) =>
        `${topic}/${partition} ${from === to ? from : `${from} to ${to}`}`,
    );
    say(
      unreadable,
      "events cannot be read",
      ({ topic, partition, offset, reason }) => `${topic}/${partition}/${offset} ${reason}`,
    );
    say(
      orphans,
      "objects no event accounts for",
      ({ key, byteLength }) => `${key} (${byteLength} bytes)`,
    );
    say(missing, "objects are gone", ({ key }) => key);
    console.log(
      `${records} records and ${objects} objects, ${wrong} found wrong; ` +
        `${duplicates} events were appended again`,
    );
  }
  return wrong > 0 ? 1 : 0;
}

function say<Finding>(
  { count, named }: { readonly count: number; readonly named: readonly Finding[] },
  what: string,
  line: (finding: Finding) => string,
): void {
  if (count === 0) return;
  console.log(`${count} ${what}:`);
  for (const finding of named) console.log(`  ${line(finding)}`);
  if (count > named.length) console.log("  and more");
}

await runTask({ help, run: main });
