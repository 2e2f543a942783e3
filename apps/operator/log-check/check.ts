import { topics as facts } from "../../../domain/event.ts";
import type { LogRecord, TopicPartition, Watermarks } from "../../../infra/event-log/port.ts";
import { readRecords } from "../../../projections/runner/readings.ts";
import { imageWorkerTopics } from "../../image-worker/worker.ts";
import { purges, readPurge } from "../../projector/lanes/purges.ts";
import { uploadWindow } from "../../projector/lanes/uploads.ts";
import { projectorTopics } from "../../projector/topics.ts";
import type { OperatorEngines, Told } from "../operation.ts";
import { Hashes } from "./hashes.ts";
import { MediaObjects } from "./media.ts";

/** Of one kind of finding. */
export interface Findings<Finding> {
  readonly count: number;
  /** The first of them. */
  readonly named: readonly Finding[];
}

export interface LogCheck {
  /** Topics that differ from what is asserted of them, each in a sentence that says what mends it. */
  readonly topics: readonly string[];
  readonly records: number;
  /** Offsets that are not there, both ends included. */
  readonly holes: Findings<TopicPartition & { readonly from: number; readonly to: number }>;
  /** Facts that today's schemas cannot read. */
  readonly unreadable: Findings<
    TopicPartition & { readonly offset: number; readonly reason: string }
  >;
  /** Facts that were appended again, which is no error: delivery is at least once. */
  readonly duplicates: number;
  readonly objects: number;
  /** Objects that no event accounts for. */
  readonly orphans: Findings<{ readonly key: string; readonly byteLength: number }>;
  /** Objects that an event accounts for and the store has not. */
  readonly missing: Findings<{ readonly key: string; readonly mediaId: string }>;
}

/** Findings of one kind that are named. */
const maximumNamed = 1_000;

/**
 * Milliseconds in which objects and events may be ahead of each other: an upload that nobody has
 * completed is looked for when its window is over, and a purge or a retirement is under way.
 */
const settlesWithin = uploadWindow + 35 * 60 * 1000;

class Found<Finding> {
  #count = 0;
  readonly #named: Finding[] = [];

  add(finding: Finding, count = 1): void {
    this.#count += count;
    if (this.#named.length < maximumNamed) this.#named.push(finding);
  }

  get findings(): Findings<Finding> {
    return { count: this.#count, named: this.#named };
  }
}

/**
 * Reads the whole log once, a partition at a time, and lists the store once. What it holds meanwhile:
 * 8 bytes an event of one partition, to find those that were appended twice, which lie in the same
 * partition, being of the same key; some 600 bytes a medium of one partition of 16; 9 bytes an
 * object of the whole store; and the ids of the media that were purged within the last hour. Both sides are looked at as they are at some time during the check, so
 * what is younger than an upload or a purge takes is left alone.
 */
export async function checkLog(engines: OperatorEngines, told: Told): Promise<LogCheck> {
  const recently = Date.now() - settlesWithin;
  const specs = [
    ...new Map([...projectorTopics, ...imageWorkerTopics].map((s) => [s.name, s])).values(),
  ];
  const problems = await engines.log.inspectTopics(specs);
  const absent = new Set(problems.filter((one) => one.absent).map(({ topic }) => topic));
  const present = specs.map(({ name }) => name).filter((name) => !absent.has(name));
  // Lanes before facts: what a lane has been told to purge is known when its medium is read.
  const ordered = present.toSorted((a, b) => Number(isFact(a)) - Number(isFact(b)));
  const ends = await engines.log.watermarks(ordered);

  const records = await readAll(engines, ends, recently, told);
  const objects = await compareObjects(engines, records, ends, recently, told);
  return {
    topics: problems.map(({ message }) => message),
    records: records.count,
    holes: records.holes,
    unreadable: records.unreadable,
    duplicates: records.duplicates,
    ...objects,
  };
}

function isFact(topic: string): boolean {
  return (facts as readonly string[]).includes(topic);
}

interface ReadRecords {
  readonly count: number;
  readonly holes: LogCheck["holes"];
  readonly unreadable: LogCheck["unreadable"];
  readonly duplicates: number;
  /** Of the objects there must be. */
  readonly expected: Hashes;
  /** Of those there may be. */
  readonly bearable: Hashes;
  /** Media that are being purged. */
  readonly purging: Set<string>;
}

async function readAll(
  { log, sealer }: OperatorEngines,
  ends: readonly Watermarks[],
  recently: number,
  { signal, onStep }: Told,
): Promise<ReadRecords> {
  const of = ends.reduce((sum, { low, high }) => sum + high - low, 0);
  const holes = new Found<LogCheck["holes"]["named"][number]>();
  const unreadable = new Found<LogCheck["unreadable"]["named"][number]>();
  const [expected, bearable, purging] = [new Hashes(), new Hashes(), new Set<string>()];
  let [count, duplicates] = [0, 0];
  onStep({ what: "records", done: 0, of });
  for (const { topic, partition, low, high } of ends) {
    const place = { topic, partition };
    const hole = (from: number, to: number) => {
      if (from <= to) holes.add({ ...place, from, to }, to - from + 1);
    };
    const ids = new Hashes(Math.max(1, high - low));
    const media = new MediaObjects(recently);
    // What is kept for a time begins where time has left it; facts begin at the beginning.
    let next = isFact(topic) ? 0 : low;
    for await (const batch of log.read(place, low, { signal })) {
      for (const record of batch) {
        if (record.offset < next || record.offset >= high) continue;
        hole(next, record.offset - 1);
        next = record.offset + 1;
        count++;
        if (topic === purges) notePurge(record, recently, purging);
        if (record.headers.ce_id !== undefined && isFact(topic)) ids.add(record.headers.ce_id);
      }
      for (const reading of isFact(topic) ? await readRecords(batch, sealer) : []) {
        if ("recorded" in reading) media.take(reading.recorded.event);
        else {
          const { record: { offset }, category, message } = reading.letter;
          unreadable.add({ ...place, offset, reason: `${category}: ${message}` });
        }
      }
      onStep({ what: "records", done: count, of });
    }
    hole(next, high - 1);
    duplicates += ids.sort();
    for (const { key, mediaId } of media.expected()) if (!purging.has(mediaId)) expected.add(key);
    for (const key of media.bearable()) bearable.add(key);
  }
  return {
    count,
    holes: holes.findings,
    unreadable: unreadable.findings,
    duplicates,
    expected,
    bearable,
    purging,
  };
}

/** A purge that keeps its medium takes away what its manifest no longer names; see `retirementLane`. */
function notePurge(record: LogRecord, recently: number, purging: Set<string>): void {
  const purge = record.timestamp >= recently ? readPurge(record) : undefined;
  if (purge?.cause !== undefined) purging.add(purge.mediaId);
}

async function compareObjects(
  engines: OperatorEngines,
  { expected, bearable, purging }: ReadRecords,
  ends: readonly Watermarks[],
  recently: number,
  { signal, onStep }: Told,
): Promise<Pick<LogCheck, "objects" | "orphans" | "missing">> {
  const orphans = new Found<LogCheck["orphans"]["named"][number]>();
  const missing = new Found<LogCheck["missing"]["named"][number]>();
  expected.sort();
  bearable.sort();
  const of = expected.count;
  let [objects, there] = [0, 0];
  onStep({ what: "objects", done: 0, of });
  for await (const { key, byteLength, modifiedAt } of engines.store.list("")) {
    signal.throwIfAborted();
    if (expected.unmarked(key)) there++;
    if (!expected.mark(key) && !bearable.mark(key) && modifiedAt.getTime() < recently) {
      orphans.add({ key, byteLength });
    }
    if (++objects % 100 === 0) {
      onStep({ what: "objects", done: objects, of: Math.max(of, objects) });
    }
  }
  onStep({ what: "objects", done: objects, of: objects });
  if (there < of) await nameMissing(engines, expected, purging, ends, recently, signal, missing);
  return { objects, orphans: orphans.findings, missing: missing.findings };
}

/**
 * Of what the listing lacked only hashes are known: the media are read again to name it. What has been
 * purged or retired meanwhile is then known, and not missed.
 */
async function nameMissing(
  { log, store, sealer }: OperatorEngines,
  expected: Hashes,
  purging: Set<string>,
  ends: readonly Watermarks[],
  recently: number,
  signal: AbortSignal,
  missing: Found<LogCheck["missing"]["named"][number]>,
): Promise<void> {
  for (const { topic, partition, high } of ends.filter(({ topic }) => topic === purges)) {
    for await (const batch of log.read({ topic, partition }, high, { signal })) {
      for (const record of batch) notePurge(record, recently, purging);
    }
  }
  for (const { topic, partition, low } of ends.filter(({ topic }) => topic === "media")) {
    const media = new MediaObjects(recently);
    for await (const batch of log.read({ topic, partition }, low, { signal })) {
      for (const reading of await readRecords(batch, sealer)) {
        if ("recorded" in reading) media.take(reading.recorded.event);
      }
    }
    for (const { key, mediaId } of media.expected()) {
      if (purging.has(mediaId) || !expected.unmarked(key)) continue;
      if (await store.head(key) === undefined) missing.add({ key, mediaId });
    }
  }
}
