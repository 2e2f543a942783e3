import { parseArgs } from "node:util";
import { ShutterlogClient } from "./client/client.ts";
import { ProblemError, ServerUnreachable } from "./client/problem.ts";
import { table } from "./client/terminal.ts";
import { percentile } from "./demo/concurrency.ts";
import { fill, type Filled } from "./demo/fill.ts";

const help = `Fills a running instance with people, photographs, likes and comments, over HTTP.

  deno task demo [--base-url url] [--accounts n] [--photos n] [--seed n]

  --base-url   where it listens, http://127.0.0.1:8000 when left out
  --accounts   2 to 500, 12 when left out
  --photos     1 to 5000, 36 when left out; drawn here, none is downloaded
  --seed       the same seed draws the same people and photographs; 1 when left out
  --help       shows this

Run it again for more: handles that are taken get a number.`;

/** For demonstrations only: it is printed. */
const password = "correct-horse-battery";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    "base-url": { type: "string", default: "http://127.0.0.1:8000" },
    accounts: { type: "string", default: "12" },
    photos: { type: "string", default: "36" },
    seed: { type: "string", default: "1" },
    help: { type: "boolean" },
  },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}

const stopped = new AbortController();
const stop = () => stopped.abort();
Deno.addSignalListener("SIGINT", stop);
Deno.addSignalListener("SIGTERM", stop);
try {
  const baseUrl = values["base-url"].replace(/\/+$/, "");
  if (!URL.canParse(baseUrl)) throw new Error(`--base-url ${baseUrl} is not a URL`);
  const options = {
    baseUrl,
    accounts: count("accounts", 2, 500),
    photos: count("photos", 1, 5000),
    seed: count("seed", 0, 2 ** 31 - 1),
    password,
    signal: stopped.signal,
  };
  await expectReady(baseUrl);
  await report(baseUrl, await fill(options));
} catch (error) {
  if (stopped.signal.aborted) {
    console.error("\nStopped. What was uploaded and posted so far stays.");
    Deno.exitCode = 130;
  } else {
    console.error(`\n${explain(error)}`);
    Deno.exitCode = 1;
  }
} finally {
  Deno.removeSignalListener("SIGINT", stop);
  Deno.removeSignalListener("SIGTERM", stop);
}

function count(name: "accounts" | "photos" | "seed", low: number, high: number): number {
  const number = Number(values[name]);
  if (Number.isInteger(number) && number >= low && number <= high) return number;
  throw new Error(`--${name} takes a whole number from ${low} to ${high}, not "${values[name]}"`);
}

async function expectReady(baseUrl: string): Promise<void> {
  const { status, text } = await new ShutterlogClient(baseUrl).request("GET", "/readyz");
  if (status !== 200) {
    throw new Error(
      `${baseUrl}/readyz answers ${status}, so it is not ready: ${text.slice(0, 300)}`,
    );
  }
}

function explain(error: unknown): string {
  if (error instanceof ServerUnreachable) {
    return `${error.message}: start it with deno task dev, or name another with --base-url`;
  }
  if (error instanceof ProblemError && error.status === 429) {
    return `${error.message}\nThe rate limits are meant for people. ` +
      "Start the server with RATE_LIMIT_SCALE=0 to fill it faster.";
  }
  return error instanceof Error ? error.message : String(error);
}

async function report(baseUrl: string, filled: Filled): Promise<void> {
  const { members, postIds, readyAfter, rejected } = filled;
  const [reader] = members;
  if (!reader) return;
  for (const { client } of members) reader.client.positions.keep(client.positions.header ?? null);
  const feed = await reader.client.feed({ await: true });
  const [card] = feed.items;
  const photo = card?.media[0]?.variants?.large.url;
  const ms = (share: number) => `${Math.round(percentile(readyAfter, share) ?? 0)} ms`;

  console.log(`
${
    table([
      ["accounts", members.length],
      ["follows", filled.follows],
      ["photos ready", readyAfter.length],
      ["photos rejected", rejected.length],
      ["posts", postIds.length],
      ["likes", filled.likes],
      ["comments", filled.comments],
    ])
  }

From complete to ready: p50 ${ms(0.5)}, p99 ${ms(0.99)} (four at a time, polled every 50 ms)

Sign in as any of them with the password ${password}
${table(members.slice(0, 12).map(({ handle, displayName }) => [`  ${handle}`, displayName]))}

Open
  ${baseUrl}/            the web client
  ${baseUrl}/docs        the API${photo ? `\n  ${photo}  a photo` : ""}

Read ${reader.handle}'s feed, whose first page has ${feed.items.length} posts:
  TOKEN=$(curl -s ${baseUrl}/v1/sessions -H 'Content-Type: application/json' \\
    -d '{"handle":"${reader.handle}","password":"${password}"}' | grep -o '"accessToken":"[^"]*' | cut -d'"' -f4)
  curl -s ${baseUrl}/v1/feed -H "Authorization: Bearer $TOKEN"`);
}
