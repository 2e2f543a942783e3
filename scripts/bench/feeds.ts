/**
 * Reads of feeds and posts and signed uploads over HTTP, each beside a constant of the same bytes, in
 * turns; and the fan-out beside `redis-benchmark`, on the stack.
 */
import { parseArgs } from "node:util";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { table } from "../client/terminal.ts";
import { type Constant, serveConstant } from "./constant.ts";
import { embedded } from "./embedded.ts";
import { load, type Request, requestText } from "./http-load.ts";
import { people, type Reader } from "./people.ts";
import { processTime } from "./process-time.ts";
import { pullJoin } from "./pull-join.ts";
import { type Row, type Samples, samplesOf, shown } from "./samples.ts";
import { fanOutRows, stack } from "./stack.ts";
import type { Served, Target } from "./target.ts";

const help = `Usage: deno task bench feeds [options]

  --stack         on Kafka, PostgreSQL, Redis and S3, started for it, instead of the embedded engines;
                  with the fan-out and the bytes of a cached feed's entry
  --readers N     people who read (12)
  --rounds N      repetitions, ours and its limit in turns (5)
  --seconds N     for each (2)
  --json          prints JSON
  --help          shows this

The load comes from another process on the same machine: 32 connections, one request each at a time.
A limit is what Deno.serve answers as a constant, with the same head and the same body.`;

const { values } = parseArgs({
  options: {
    stack: { type: "boolean" },
    readers: { type: "string", default: "12" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    json: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const connections = 32;
const said = (text: string) => console.error(text);

said(`starting the ${values.stack ? "stack" : "embedded product"}`);
const target = values.stack ? await stack() : await embedded();
const rows: Row[] = [];
try {
  said("people register, upload and post");
  const readers = await people(
    target.commands.baseUrl,
    target.queries.baseUrl,
    Number(values.readers),
  );
  for (const hot of hotRows(readers)) rows.push(await beside(target, hot));
  rows.push(await coldReads(target, readers));
  if (values.stack) rows.push(...await fanOutRows(rounds));
  const pull = await pulls(target, readers);
  for (const row of rows) {
    if (row.what.startsWith("warm feed read")) row.pullJoin = pull.together;
    if (row.what.startsWith("cold feed read")) row.pullJoin = pull.oneByOne;
  }
} finally {
  await target.stop();
}

if (values.json) {
  console.log(JSON.stringify({ target: target.name, rounds, seconds, rows }, null, 2));
} else print(rows);

interface Hot {
  readonly what: string;
  readonly aim: string;
  readonly at: "queries" | "commands";
  readonly requests: readonly Request[];
}

function hotRows(readers: readonly Reader[]): Hot[] {
  const as = ({ token }: Reader) => ({ headers: { Authorization: `Bearer ${token}` } });
  const upload = JSON.stringify({ contentType: "image/jpeg", byteLength: 2_200_000 });
  return [
    {
      what: "warm feed read, 20 cards",
      aim: "≥ 0.60",
      at: "queries",
      requests: readers.map((reader) => ({ path: "/v1/feed", ...as(reader) })),
    },
    {
      what: "post detail",
      aim: "≥ 0.70",
      at: "queries",
      requests: readers.flatMap((reader) =>
        reader.postIds.slice(0, 20).map((id) => ({ path: `/v1/posts/${id}`, ...as(reader) }))
      ),
    },
    {
      what: "upload signed",
      aim: "≥ 0.15",
      at: "commands",
      requests: readers.map((reader) => ({
        method: "POST",
        path: "/v1/media",
        body: upload,
        ...as(reader),
      })),
    },
  ];
}

/** A kind of request beside a constant of what it is answered with, in turns. */
async function beside(target: Target, { what, aim, at, requests }: Hot): Promise<Row> {
  said(what);
  const served = target[at];
  const constant = await constantOf(served, requests[0] ?? { path: "/" });
  const limitAt = { baseUrl: `http://127.0.0.1:${constant.port}`, pid: constant.pid };
  try {
    // Both are compiled by then, and all that is asked for has been asked for.
    for (const one of [limitAt, served]) await measure(one, requests, 2 * seconds);
    const seen = [];
    for (let round = 0; round < rounds; round++) {
      const limit = await measure(limitAt, requests, seconds);
      seen.push({ limit, ours: await measure(served, requests, seconds) });
    }
    return {
      what,
      unit: "requests/s",
      ours: samplesOf(seen.map(({ ours }) => ours.rate)),
      limit: samplesOf(seen.map(({ limit }) => limit.rate)),
      limitIs: "Deno.serve, a constant",
      ratio: samplesOf(seen.map(({ ours, limit }) => ours.rate / limit.rate)),
      aim,
      processorRatio: samplesOf(seen.map(({ ours, limit }) => limit.time / ours.time)),
    };
  } finally {
    await constant.stop();
  }
}

/** Requests a second, and microseconds of the server's thread for each. */
async function measure({ baseUrl, pid }: Served, requests: readonly Request[], seconds: number) {
  const { hostname, port } = new URL(baseUrl);
  const before = await processTime(pid) ?? NaN;
  const { answers, seconds: took } = await load({
    hostname,
    port: Number(port),
    requests: requests.map(requestText),
    connections,
    seconds,
  });
  return { rate: answers / took, time: ((await processTime(pid) ?? NaN) - before) / answers };
}

async function constantOf({ baseUrl }: Served, request: Request): Promise<Constant> {
  const { method = "GET", path, headers = {}, body } = request;
  const answer = await fetch(baseUrl + path, {
    method,
    headers: { ...headers, ...(body !== undefined && { "Content-Type": "application/json" }) },
    ...(body !== undefined && { body }),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return await serveConstant(answer);
}

/**
 * First reads, one after the other, of feeds whose cards nobody has read either. Half of the readers
 * go before, so that what is measured is no process's start: code that is not compiled yet, a
 * database that has not read its own catalogue.
 */
async function coldReads(target: Target, readers: readonly Reader[]): Promise<Row> {
  said("cold feed read");
  const request = { path: "/v1/feed", headers: bearer(readers[0]) };
  const constant = await constantOf(target.queries, request);
  const rates: number[] = [];
  const limits: number[] = [];
  try {
    for (let round = 0; round < Math.min(rounds, 3); round++) {
      await target.forget();
      // Known tokens and an open database are not what is measured.
      for (const reader of readers) await timed(target.queries.baseUrl, "/v1/me", reader);
      const half = Math.floor(readers.length / 2);
      for (const reader of readers.slice(0, half)) {
        await timed(target.queries.baseUrl, "/v1/feed", reader);
      }
      const took = [];
      const limit = [];
      for (const reader of readers.slice(half)) {
        took.push(await timed(target.queries.baseUrl, "/v1/feed", reader));
        limit.push(await timed(`http://127.0.0.1:${constant.port}`, "/v1/feed", reader));
      }
      rates.push(1000 / samplesOf(took).median);
      limits.push(1000 / samplesOf(limit).median);
    }
  } finally {
    await constant.stop();
  }
  return {
    what: "cold feed read, one at a time",
    unit: "requests/s",
    ours: samplesOf(rates),
    limit: samplesOf(limits),
    limitIs: "Deno.serve, a constant",
    ratio: samplesOf(rates.map((rate, round) => rate / (limits[round] ?? NaN))),
  };
}

/** Milliseconds. */
async function timed(baseUrl: string, path: string, reader: Reader): Promise<number> {
  const began = performance.now();
  const answer = await fetch(baseUrl + path, { headers: bearer(reader) });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return performance.now() - began;
}

function bearer(reader: Reader | undefined): Record<string, string> {
  return { Authorization: `Bearer ${reader?.token}` };
}

/**
 * Feeds joined by the database at every read: pages a second, without HTTP, all readers together or
 * one after the other.
 */
async function pulls(
  target: Target,
  readers: readonly Reader[],
): Promise<{ together: Samples; oneByOne: Samples }> {
  said("the pull join");
  const sql = await target.sql();
  try {
    const live = new LiveSql(sql);
    // Or the planner would know nothing of tables that are minutes old.
    await sql.execute("ANALYZE");
    const rateOf = async (atOnce: number) => {
      const began = performance.now();
      let pages = 0;
      while (performance.now() - began < seconds * 1000) {
        const some = Array.from(
          { length: atOnce },
          (_, nth) => readers[(pages + nth) % readers.length],
        );
        await Promise.all(some.map((one) => pullJoin(live, one?.accountId ?? "", 20)));
        pages += atOnce;
      }
      return pages * 1000 / (performance.now() - began);
    };
    // The first are for plans and pages to be there.
    await rateOf(readers.length);
    const [together, oneByOne]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      together.push(await rateOf(readers.length));
      oneByOne.push(await rateOf(1));
    }
    return { together: samplesOf(together), oneByOne: samplesOf(oneByOne) };
  } finally {
    await sql.close();
  }
}

function print(rows: readonly Row[]): void {
  const head = ["", "unit", "ours", "limit", "which is", "ratio", "aim", "by processor time"];
  console.log(table([
    [...head, "pull join in SQL"],
    ...rows.map((row) => [
      row.what,
      row.unit,
      shown(row.ours),
      shown(row.limit),
      row.limitIs,
      shown(row.ratio),
      row.aim ?? "",
      row.processorRatio ? shown(row.processorRatio) : "",
      row.pullJoin ? shown(row.pullJoin) : "",
    ]),
  ]));
  console.log(
    `\nMedian (least to most) of ${rounds} rounds of ${seconds} s, in turns, ${target.name}.`,
  );
}
