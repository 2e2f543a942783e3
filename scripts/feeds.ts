import { parseArgs } from "node:util";
import { z } from "zod";
import { InvalidConfiguration } from "../infra/config/config.ts";
import { Progress, Refused, table } from "./client/terminal.ts";
import { type Asked, openAsked } from "./feeds/engines.ts";

const help = `Says why feeds are as they are, and whether the cached ones are right.

  deno task feeds explain <reader> <post>   why this post is, or is not, in that feed: from the log,
                                            the read model and the cache
  deno task feeds verify [reader…]          compares cached feeds with the log, all when none is named
      --repair                              forgets those that differ; they are filled anew when read
      --json                                for programs
      --help                                shows this

A reader is an account id or a handle, a post its id.
With KAFKA_BROKERS set it works on the networked engines, as the other processes do (.env.example has
the environment). Else on the folder DATA_DIR, .shutterlog when unset: by asking the process that runs
on it, or, where none does, by opening it.

Ends with 0 when all is right, 1 when something differs, 2 when it could not be told.`;

const explanation = z.object({
  steps: z.array(z.object({ step: z.string(), found: z.string() })),
  right: z.boolean(),
  verdict: z.string(),
});
const verified = z.object({
  feeds: z.number(),
  lists: z.number(),
  behind: z.number(),
  repaired: z.number(),
  differences: z.array(z.object({
    kind: z.string(),
    id: z.string(),
    missing: z.array(z.string()),
    unknown: z.array(z.string()),
  })),
});

/** Resolves to the exit code. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      repair: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const [command, ...names] = positionals;
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (command !== "explain" && command !== "verify") {
    throw new Refused(
      command === undefined
        ? "say explain or verify: see deno task feeds --help"
        : `there is no ${command}: see deno task feeds --help`,
    );
  }
  if (command === "explain" && names.length !== 2) {
    throw new Refused("explain takes a reader and a post: deno task feeds explain ada <post id>");
  }
  if (command === "explain" && values.repair) throw new Refused("--repair belongs to verify");
  const [, post = ""] = names;
  if (command === "explain" && !isId(post)) throw new Refused(`${post} is not the id of a post`);

  const asked = await openAsked();
  try {
    if (!values.json) console.error(asked.note);
    return command === "explain"
      ? await explain(asked, await accountOf(asked, names[0] ?? ""), post, values.json)
      : await verify(asked, names, values);
  } finally {
    await asked.close();
  }
}

async function explain(asked: Asked, readerId: string, postId: string, json: boolean) {
  const answer = await asked.ask({ ask: "explain", readerId, postId });
  const { steps, right, verdict } = explanation.parse(answer);
  if (json) console.log(JSON.stringify(answer));
  else console.log(`${table(steps.map(({ step, found }) => [step, found]))}\n\n${verdict}`);
  return right ? 0 : 1;
}

async function verify(
  asked: Asked,
  names: readonly string[],
  { repair, json }: { repair: boolean; json: boolean },
): Promise<number> {
  const readerIds = await Promise.all(names.map((name) => accountOf(asked, name)));
  let read = 0;
  const bars: Progress[] = [];
  const terminal = Deno.stderr.isTerminal() && !json;
  const answer = await asked.ask(
    { ask: "verify", repair, ...(names.length > 0 && { readerIds }) },
    terminal
      ? {
        onRead: (records) => {
          read += records;
          Deno.stderr.writeSync(
            new TextEncoder().encode(`\r\x1b[K${read} records of the log read`),
          );
        },
        onCompared: (done, of) => {
          const [bar = new Progress("feeds", of)] = bars;
          bars[0] = bar;
          while (bar.done < done) bar.step();
        },
      }
      : {},
  );
  bars[0]?.finish();
  const { feeds, lists, behind, differences, repaired } = verified.parse(answer);
  if (json) console.log(JSON.stringify(answer));
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

async function accountOf(asked: Asked, name: string): Promise<string> {
  if (isId(name)) return name.toLowerCase();
  const id = await asked.ask({ ask: "account", handle: name.replace(/^@/, "") });
  if (typeof id !== "string") throw new Refused(`nobody open has the handle ${name}`);
  return id;
}

function isId(text: string): boolean {
  return z.uuid().safeParse(text).success;
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(explainedByItself(error) ? error.message : error);
  Deno.exit(2);
}

function explainedByItself(error: unknown): error is Error {
  // parseArgs throws TypeErrors with a code.
  const usage = error instanceof TypeError && "code" in error;
  return usage || error instanceof Refused || error instanceof InvalidConfiguration;
}
