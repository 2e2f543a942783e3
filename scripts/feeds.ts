import { parseArgs } from "node:util";
import type { Told } from "../apps/operator/operation.ts";
import { table } from "./client/terminal.ts";
import { type Operator, Refused, whereHelp } from "./operator/operator.ts";
import { accountOf, isId, runTask } from "./operator/task.ts";

const help = `Says why feeds are as they are, and whether the cached ones are right.

  deno task feeds explain <reader> <post>   why this post is, or is not, in that feed: from the log,
                                            the read model and the cache
  deno task feeds verify [reader…]          compares cached feeds with the log, all when none is named
      --repair                              forgets those that differ; they are filled anew when read
      --json                                for programs
      --help                                shows this

A reader is an account id or a handle, a post its id.
${whereHelp}

Ends with 0 when all is right, 1 when something differs, 2 when it could not be told.`;

async function main(open: () => Promise<Operator>, told: Told): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      repair: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [command, ...names] = positionals;
  if (command === "verify") return await verify(await open(), names, values, told);
  if (command !== "explain") {
    throw new Refused(
      command === undefined
        ? "say explain or verify: see deno task feeds --help"
        : `there is no ${command}: see deno task feeds --help`,
    );
  }
  const [reader, post] = names;
  if (reader === undefined || post === undefined || names.length > 2) {
    throw new Refused("explain takes a reader and a post: deno task feeds explain ada <post id>");
  }
  if (values.repair) throw new Refused("--repair belongs to verify");
  if (!isId(post)) throw new Refused(`${post} is not the id of a post`);
  return await explain(await open(), reader, post, values.json);
}

async function explain(operator: Operator, reader: string, postId: string, json: boolean) {
  const readerId = await accountOf(operator, reader);
  const explanation = await operator.ask("feeds.explain", { readerId, postId });
  const { steps, right, verdict } = explanation;
  if (json) console.log(JSON.stringify(explanation));
  else console.log(`${table(steps.map(({ step, found }) => [step, found]))}\n\n${verdict}`);
  return right ? 0 : 1;
}

async function verify(
  operator: Operator,
  names: readonly string[],
  { repair, json }: { repair: boolean; json: boolean },
  told: Told,
): Promise<number> {
  const readerIds = await Promise.all(names.map((name) => accountOf(operator, name)));
  const verified = await operator.ask(
    "feeds.verify",
    { repair, ...(names.length > 0 && { readerIds }) },
    told,
  );
  const { feeds, lists, behind, differences, repaired } = verified;
  if (json) console.log(JSON.stringify(verified));
  else {
    for (const { kind, id, missing, unknown } of differences) {
      console.log(`${kind} of ${id}`);
      for (const postId of missing) console.log(`  lacks ${postId}`);
      for (const postId of unknown) console.log(`  has ${postId}, which the log does not know`);
    }
    console.log(
      `${feeds} cached feeds and ${lists} authors' lists compared, ${differences.length} differ` +
        (behind > 0 ? `; ${behind} left out, since the projection is behind the log` : "") +
        (repaired > 0 ? `; ${repaired} forgotten, to be filled anew` : ""),
    );
  }
  return differences.length > 0 ? 1 : 0;
}

await runTask({ help, run: main });
