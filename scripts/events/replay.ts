import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Topic, topics, UnreadableEvent } from "../../domain/event.ts";
import { catalogue } from "../../domain/events.ts";
import { decodeEvent } from "../../infra/event-log/codec.ts";
import { partitionOf } from "../../infra/event-log/partitioner.ts";
import type { EventLog, LogRecord } from "../../infra/event-log/port.ts";
import { Progress, Refused, writeOut } from "../client/terminal.ts";
import { toLine } from "./cloud-event.ts";
import { followed, latenessMs } from "./follow.ts";
import { merged, type Start, timeOf } from "./merge.ts";
import { openSource, type Source } from "./source.ts";
import { parseTime } from "./times.ts";

const help = `Writes the log to standard output, one CloudEvents object in JSON a line.

  deno task -q events replay [options]

  --from T      only what happened at T or later: 2026-11-22T18:00:00Z, or 2026-11-22
  --to T        only what happened before T
  --type A,B    only these types: PostCreated,PostDeleted
  --topic A,B   only these topics: ${topics.join(", ")}
  --key K       only this aggregate: an account's, post's or medium's id
  --speed N     N times as fast as it was, 1 for real time; max, when left out, waits for nothing
  --follow      goes on with what comes, until Ctrl-C
  --help        shows this

The order. A topic has 16 partitions; in each, events keep the order of the log, in which everything
said of one aggregate is in the order it was said. Across partitions, and topics, they come by the time
they happened at: each line is, of the next events of all partitions, the one with the earliest time, and
of equal times the one of the earlier topic (in the order above), then of the lower partition. So
the times of lines go back only where they do within a partition, and the same log gives the same lines.
With --follow, what is new is held back until it is ${
  latenessMs / 1000
} s old and ordered likewise among what has come by
then; what reaches the log later than that comes when it does.

Text of closed accounts is null. An event that cannot be read ends it with 2, and is named.`;

interface Wanted {
  readonly from: number;
  readonly to: number;
  readonly types: ReadonlySet<string> | undefined;
  readonly key: string | undefined;
}

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      from: { type: "string" },
      to: { type: "string" },
      type: { type: "string" },
      topic: { type: "string" },
      key: { type: "string" },
      speed: { type: "string", default: "max" },
      follow: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (values.follow && values.to !== undefined) {
    throw new Refused("--follow goes on for ever: leave out --to");
  }
  const wanted: Wanted = {
    from: values.from === undefined ? -Infinity : parseTime(values.from, "--from"),
    to: values.to === undefined ? Infinity : parseTime(values.to, "--to"),
    types: values.type === undefined ? undefined : typesIn(values.type),
    key: values.key,
  };
  const asked = topicsIn(values.topic, wanted.types);
  const speed = speedIn(values.speed);
  const source = await openSource();
  const stopped = new AbortController();
  const stop = () => stopped.abort();
  Deno.addSignalListener("SIGINT", stop);
  try {
    const starts = await startsOf(source.log, asked, wanted.key);
    const total = starts.reduce((sum, { records }) => sum + records, 0);
    // Where the lines go to the terminal themselves, a bar would stand in their way.
    const bar = Deno.stdout.isTerminal() ? undefined : new Progress("replay", total);
    const records = values.follow
      ? followed(source.log, starts, stopped.signal)
      : merged(source.log, starts, stopped.signal);
    await write(records, source, wanted, speed, stopped.signal, bar);
    bar?.finish();
    return stopped.signal.aborted && !values.follow ? 130 : 0;
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
    return 130;
  } finally {
    Deno.removeSignalListener("SIGINT", stop);
    await source.close();
  }
}

async function write(
  batches: AsyncIterable<LogRecord[]>,
  source: Source,
  wanted: Wanted,
  speed: number,
  signal: AbortSignal,
  bar: Progress | undefined,
): Promise<void> {
  const pace = new Pace(speed);
  for await (const batch of batches) {
    const records = batch.filter((record) => isWanted(record, wanted));
    const lines = await Promise.all(records.map((record) => lineOf(record, source)));
    let text = "";
    for (const [index, record] of records.entries()) {
      const wait = pace.until(timeOf(record));
      if (wait > 0) {
        if (!await writeOut(text)) return;
        text = "";
        await delay(wait, undefined, { signal });
      }
      text += `${lines[index]}\n`;
    }
    if (!await writeOut(text)) return;
    bar?.to(Math.min(bar.done + batch.length, bar.total ?? Infinity));
  }
}

/** Scaled real time, counted from the first event. */
class Pace {
  readonly #speed: number;
  #began: { readonly wall: number; readonly time: number } | undefined;

  constructor(speed: number) {
    this.#speed = speed;
  }

  /** Milliseconds to wait before an event of this time is due. */
  until(time: number): number {
    if (this.#speed === Infinity) return 0;
    this.#began ??= { wall: performance.now(), time };
    const due = this.#began.wall + (time - this.#began.time) / this.#speed;
    return due - performance.now();
  }
}

function isWanted(record: LogRecord, { from, to, types, key }: Wanted): boolean {
  const time = timeOf(record);
  if (time < from || time >= to || key !== undefined && record.key !== key) return false;
  const [, name = ""] = record.headers.ce_type?.split(".") ?? [];
  return types === undefined || types.has(name);
}

async function lineOf(record: LogRecord, { sealer }: Source): Promise<string> {
  try {
    return toLine(await decodeEvent(record, sealer), record);
  } catch (error) {
    throw unreadable(record, error);
  }
}

/** An error that names the record, where it is that which cannot be read. */
export function unreadable(record: LogRecord, error: unknown): unknown {
  if (!(error instanceof UnreadableEvent)) return error;
  const { topic, partition, offset } = record;
  return new Refused(
    `${topic}/${partition} offset ${offset} cannot be read (${error.category}): ${error.message}`,
  );
}

/** The partitions of the topics, or those a key lies in, from their beginning. */
export async function startsOf(
  log: Pick<EventLog, "watermarks">,
  asked: readonly Topic[],
  key?: string,
): Promise<(Start & { readonly records: number })[]> {
  const partitions = await log.watermarks(asked);
  return partitions.flatMap(({ topic, partition, low, high }) => {
    const count = partitions.filter((one) => one.topic === topic).length;
    if (key !== undefined && partition !== partitionOf(key, count)) return [];
    return [{ topic, partition, from: low, records: high - low }];
  });
}

function typesIn(list: string): ReadonlySet<string> {
  const known = catalogue.definitions.map(({ name }) => name);
  const names = list.split(",").map((name) => name.trim());
  for (const name of names) {
    if (!known.includes(name)) {
      throw new Refused(`--type: there is no ${name}; there are ${known.join(", ")}`);
    }
  }
  return new Set(names);
}

/** Those asked for, and of these the ones that have the types asked for. */
function topicsIn(list: string | undefined, types: ReadonlySet<string> | undefined): Topic[] {
  const names = list?.split(",").map((name) => name.trim());
  for (const name of names ?? []) {
    if (!(topics as readonly string[]).includes(name)) {
      throw new Refused(`--topic: there is no ${name}; there are ${topics.join(", ")}`);
    }
  }
  const having = types && new Set([...types].map((name) => catalogue.definition(name).topic));
  return topics.filter((topic) =>
    (!names || names.includes(topic)) && (!having || having.has(topic))
  );
}

function speedIn(text: string): number {
  const speed = text === "max" ? Infinity : Number(text);
  if (speed > 0) return speed;
  throw new Refused(`--speed takes a number above 0, or max, not "${text}"`);
}
