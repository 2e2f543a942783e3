import { parseArgs } from "node:util";
import type { Told } from "../apps/operator/operation.ts";
import { table } from "./client/terminal.ts";
import { type Operator, Refused, whereHelp } from "./operator/operator.ts";
import { accountOf, isId, runTask } from "./operator/task.ts";

const help = `Makes the variants of photographs again, from their originals.

  deno task media regenerate --all           all that an earlier recipe than today's has made
  deno task media regenerate --account A     an account's, by handle or id
  deno task media regenerate --media <id>…   these
      --recipe N    by another recipe than uploads are made by; infra/images/README.md has them
      --json        for programs
      --help        shows this

The image workers do it, on a lane that gives way to uploads: more of them are faster. The URLs there
were go on answering until half a minute after the new ones are shown. Called off or killed, ask again:
what has been made is not made again. A medium that a later recipe has made is left alone.
${whereHelp}

Ends with 0 when all of them have been made, 1 when some could not be, 2 when it could not be told.`;

async function main(open: () => Promise<Operator>, told: Told): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      recipe: { type: "string" },
      media: { type: "string", multiple: true },
      account: { type: "string" },
      all: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [command, ...more] = positionals;
  if (command !== "regenerate") {
    throw new Refused(
      command === undefined
        ? "say regenerate: see deno task media --help"
        : `there is no ${command}: see deno task media --help`,
    );
  }
  const { recipe, account, all, json } = values;
  const ids = values.media === undefined ? undefined : [...values.media, ...more];
  if (ids === undefined && more[0] !== undefined) {
    throw new Refused(`${more[0]} is too much: name media with --media`);
  }
  if ([ids, account, all || undefined].filter((which) => which !== undefined).length !== 1) {
    throw new Refused("say which: either --all, --account or --media");
  }
  const strange = ids?.find((id) => !isId(id));
  if (strange !== undefined) throw new Refused(`${strange} is not the id of a medium`);
  if (recipe !== undefined && !/^[1-9]\d{0,5}$/.test(recipe)) {
    throw new Refused(`--recipe takes a number, not ${recipe}`);
  }

  const operator = await open();
  const found = await operator.ask("media.regenerate", {
    ...(recipe !== undefined && { recipe: Number(recipe) }),
    ...(ids && { mediaIds: ids }),
    ...(account !== undefined && { ownerId: await accountOf(operator, account) }),
  }, told);
  const { made, already, unmade, unmadeCount } = found;
  if (json) console.log(JSON.stringify(found));
  else {
    const rows = unmade.map(({ mediaId, why, detail = "" }) => [mediaId, why, detail]);
    if (rows.length > 0) console.log(table(rows));
    console.log(
      `${made} media made again by recipe ${found.recipe}, ${unmadeCount} could not be` +
        (already > 0 ? `; ${already} had been made by it or a later one` : ""),
    );
  }
  return unmadeCount > 0 ? 1 : 0;
}

await runTask({ help, run: main });
