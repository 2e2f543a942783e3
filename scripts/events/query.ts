import { join } from "node:path";
import { parseArgs } from "node:util";
import { Progress, Refused, table, writeOut } from "../client/terminal.ts";
import { type Analysis, type Answer, openAnalysis } from "./analysis.ts";
import { exportLog } from "./exporter.ts";
import { readManifest } from "./manifest.ts";
import { openSource } from "./source.ts";
import { parseTime } from "./times.ts";
import { eventTables } from "./columns.ts";
import { eventsView, readyViews, stateViews } from "./views.ts";

const help = `SQL over the log, by DuckDB: as it is now, or as it was.

  deno task -q events query "select * from posts_per_day"
  deno task -q events query --at 2026-11-22T18:00:00Z --feed ada

  --views        what there is to ask of
  --at T         what was at this time: events after it are not there, in any view
  --account A    an account, by handle or id
  --post ID      a post
  --feed A       what an account's feed showed, by handle or id
  --format F     table (when left out), csv or json
  --dir DIR      an export in Parquet to keep and ask, a cache in DATA_DIR when left out
  --no-refresh   asks of what was exported last, without a look at the log
  --help         shows this

It first exports what has come since it was last asked. Text of accounts that have closed since is gone,
at any time that --at names. Times are in UTC.

One SELECT is answered. It reads the export and nothing else: no other file, no network.
Ends with 0, with 1 when there is no such account or post, with 2 when it could not be answered.`;

const helpers = {
  account: {
    sql: `
      SELECT accounts.*,
        (SELECT count(*) FROM posts WHERE author_id = account_id) AS post_count,
        (SELECT count(*) FROM follows WHERE followee_id = account_id) AS follower_count,
        (SELECT count(*) FROM follows WHERE follower_id = account_id) AS following_count
      FROM accounts WHERE account_id = $1::UUID`,
    nothing: "no such account",
  },
  post: {
    sql: `
      SELECT posts.*, handle AS author_handle,
        (SELECT count(*) FROM likes WHERE likes.post_id = posts.post_id) AS like_count,
        (SELECT count(*) FROM comments WHERE comments.post_id = posts.post_id) AS comment_count
      FROM posts LEFT JOIN accounts ON account_id = author_id WHERE posts.post_id = $1::UUID`,
    nothing: "no such post",
  },
  feed: {
    sql: `
      SELECT rank, feeds.post_id, handle AS author, caption, created_at
      FROM feeds JOIN posts USING (post_id) JOIN accounts ON account_id = feeds.author_id
      WHERE reader_id = $1::UUID ORDER BY rank`,
    nothing: undefined,
  },
} as const;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      at: { type: "string" },
      account: { type: "string" },
      post: { type: "string" },
      feed: { type: "string" },
      format: { type: "string", default: "table" },
      dir: { type: "string" },
      "no-refresh": { type: "boolean", default: false },
      views: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || values.views) {
    console.log(values.help ? help : views());
    return 0;
  }
  const named = (["account", "post", "feed"] as const).filter((name) => values[name] !== undefined);
  if (positionals.length + named.length !== 1) {
    throw new Refused(
      'ask one question, in quotes: deno task events query "select * from posts_per_day"',
    );
  }
  const show = formatIn(values.format);
  const at = values.at === undefined ? undefined : parseTime(values.at, "--at");
  const folder = await refreshed(values.dir, !values["no-refresh"]);
  const analysis = await openAnalysis({ folder, ...(at !== undefined && { at }) });
  let stopped = false;
  const stop = () => {
    stopped = true;
    analysis.interrupt();
  };
  Deno.addSignalListener("SIGINT", stop);
  try {
    const [helper] = named;
    if (helper === undefined) {
      await writeOut(show(await analysis.ask(positionals[0] ?? "")));
      return 0;
    }
    const { sql, nothing } = helpers[helper];
    const asked = values[helper] ?? "";
    const id = helper === "post" ? asked : await accountIn(analysis, asked);
    const answer = uuid.test(id) ? await analysis.ask(sql, [id]) : undefined;
    if (!answer || nothing !== undefined && answer.rows.length === 0) {
      console.error(`${nothing ?? "no such account"}${at === undefined ? "" : " then"}: ${asked}`);
      return 1;
    }
    await writeOut(show(answer));
    return 0;
  } catch (error) {
    if (stopped) return 130;
    throw error;
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
    await analysis.close();
  }
}

/** The folder to be asked, brought up to the log. */
async function refreshed(dir: string | undefined, refresh: boolean): Promise<string> {
  const source = await openSource();
  try {
    const folder = dir ?? join(source.dataDir, "query-cache");
    if (!refresh) {
      if (await readManifest(folder, "parquet")) return folder;
      throw new Refused(`nothing has been exported to ${folder}: leave out --no-refresh`);
    }
    const bars: Progress[] = [];
    await exportLog(source, {
      folder,
      format: "parquet",
      anew: dir === undefined,
      onBegin: (events) => {
        if (Deno.stderr.isTerminal() && events > 10_000) bars.push(new Progress("refresh", events));
      },
      onEvents: (count) => bars[0]?.step(count),
    });
    bars[0]?.finish();
    return folder;
  } finally {
    await source.close();
  }
}

/** An account's id as it is, or that of whoever had the handle; empty when nobody had. */
async function accountIn(analysis: Analysis, asked: string): Promise<string> {
  if (uuid.test(asked)) return asked;
  const { rows: [row] } = await analysis.ask(
    "SELECT account_id FROM accounts WHERE lower(handle) = lower($1)",
    [asked.replace(/^@/, "")],
  );
  return String(row?.[0] ?? "");
}

function views(): string {
  const rows = (views: typeof stateViews) =>
    table(views.map(({ name, what, columns }) => [`  ${name}`, `${what}: ${columns}`]));
  const common = 'id, time, topic, partition, "offset", day';
  const types = eventTables.map(({ type, columns }) => [
    `  ${type}`,
    columns.slice(5).map(({ name }) => name).join(", "),
  ]);
  return `Ready answers
${rows(readyViews)}

What stands, now or at --at
${rows(stateViews)}

Events
${rows([eventsView])}

Events by type, each with ${common} and
${table(types)}`;
}

function formatIn(text: string): (answer: Answer) => string {
  switch (text) {
    case "table":
      return ({ columns, rows }) =>
        `${table([columns, ...rows.map((row) => row.map(cell))])}\n` +
        (rows.length === 1 ? "1 row\n" : `${rows.length} rows\n`);
    case "csv":
      return ({ columns, rows }) =>
        [columns, ...rows].map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
    case "json":
      return ({ columns, rows }) => {
        const objects = rows.map((row) =>
          JSON.stringify(Object.fromEntries(columns.map((name, nth) => [name, row[nth]])))
        );
        return `[${objects.join(",\n")}]\n`;
      };
    default:
      throw new Refused(`--format takes table, csv or json, not ${text}`);
  }
}

function cell(value: unknown): string | number {
  if (typeof value === "number") return value;
  if (value === null) return "";
  return typeof value === "string" ? value.replaceAll(/\s+/g, " ") : JSON.stringify(value);
}

/** RFC 4180; NULL is left empty, and an empty text stands in quotes. */
function quoted(value: unknown): string {
  if (value === null) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
