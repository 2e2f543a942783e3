import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Told } from "./contract_roles.ts";
import { newId } from "./ids.ts";
import type { ConsumeOptions, EventLog, LogRecord, TopicPartition, TopicSpec } from "./port.ts";

/** A log made for one test, or a shared one: topics and groups have names of their own. */
export interface LogUnderTest {
  /** One more client of the same log. */
  open(): Promise<EventLog>;
  /** How to be another process of it: see `play`. Or why that cannot be. */
  readonly elsewhere:
    | { readonly fixture: URL; readonly args: readonly string[] }
    | { readonly missing: string };
  /** Called after the clients have been closed and the other processes have ended. */
  dispose(): Promise<void>;
}

/** Generous: it is only ever used up by a failure. Milliseconds. */
const deadline = 60_000;

/** One test's log, with what it opened and began: all of it ends with the test. */
export class Bench implements AsyncDisposable {
  readonly elsewhere: LogUnderTest["elsewhere"];
  readonly #log: LogUnderTest;
  readonly #clients: EventLog[] = [];
  readonly #processes: OtherProcess[] = [];

  constructor(log: LogUnderTest) {
    this.#log = log;
    this.elsewhere = log.elsewhere;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.kill()));
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#log.dispose();
  }

  async open(): Promise<EventLog> {
    const client = await this.#log.open();
    this.#clients.push(client);
    return client;
  }

  process(...args: string[]): OtherProcess {
    if ("missing" in this.elsewhere) throw new Error(this.elsewhere.missing);
    const process = new OtherProcess(this.elsewhere.fixture, [...this.elsewhere.args, ...args]);
    this.#processes.push(process);
    return process;
  }

  newTopicSpec(partitions: number): TopicSpec {
    return { name: `contract-${newId()}`, partitions };
  }

  async topic(log: EventLog, partitions: number): Promise<string> {
    const spec = this.newTopicSpec(partitions);
    await log.ensureTopics([spec]);
    return spec.name;
  }

  group(): string {
    return `contract-${newId()}`;
  }

  /** Joins a group, one of its own when none is named. */
  async member(
    log: EventLog,
    options: Omit<ConsumeOptions, "group" | "handle" | "onAssigned" | "onError"> & {
      group?: string;
      handle?: (records: readonly LogRecord[], signal: AbortSignal) => Promise<void> | void;
    },
  ): Promise<Member> {
    const member = new Member();
    const consumption = await log.consume({
      group: this.group(),
      ...options,
      handle: async (records, signal) => {
        member.batches.push(records.length);
        await options.handle?.(records, signal);
        member.records.push(...records);
      },
      onAssigned: (partitions) => member.assigned = partitions,
      onError: (error) => member.errors.push(error),
    });
    member.stop = () => consumption.stop();
    return member;
  }

  async records(
    log: EventLog,
    topic: string,
    partition: number,
    from = 0,
  ): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    for await (const batch of log.read({ topic, partition }, from)) records.push(...batch);
    return records;
  }

  async values(log: EventLog, topic: string, partition: number, from = 0): Promise<string[]> {
    return (await this.records(log, topic, partition, from)).map(({ value }) => value);
  }

  /** Every record of a topic, after having seen that each partition counts up by one from 0. */
  async gaplessTopic(log: EventLog, topic: string): Promise<LogRecord[]> {
    const records: LogRecord[] = [];
    for (const { partition, low, high } of await log.watermarks([topic])) {
      const ofPartition = await this.records(log, topic, partition);
      // What a killed process had sent may still have come in since.
      const length = Math.max(high, ofPartition.length);
      const counted = Array.from({ length }, (_, offset) => offset);
      assert.equal(low, 0);
      assert.deepEqual(ofPartition.map(({ offset }) => offset), counted, `partition ${partition}`);
      records.push(...ofPartition);
    }
    return records;
  }

  /** Where every record of the topics lies, sorted. */
  async places(log: EventLog, topics: readonly string[]): Promise<string[]> {
    const records = await Promise.all(topics.map((topic) => this.gaplessTopic(log, topic)));
    return records.flat().map(placeOf).toSorted();
  }

  /** Waits until the members have all partitions of the topic, none of them twice, each some. */
  async shared(members: readonly Member[], topic: string, partitions: number): Promise<void> {
    await this.until(() => {
      const places = members.flatMap(({ assigned }) => assigned)
        .filter((place) => place.topic === topic);
      const distinct = new Set(places.map(({ partition }) => partition));
      return places.length === partitions && distinct.size === partitions &&
        members.every(({ assigned }) => assigned.length > 0);
    }, "the members share the partitions");
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    await until(condition, what);
  }
}

/** What a member of a group was given and told. */
export class Member {
  /** Of every call of the handler. */
  readonly batches: number[] = [];
  /** Of every call of the handler that resolved. */
  readonly records: LogRecord[] = [];
  readonly errors: unknown[] = [];
  assigned: readonly TopicPartition[] = [];
  stop: () => Promise<void> = () => Promise.resolve();

  /** Where the handled records lie, sorted. */
  places(): string[] {
    return this.records.map(placeOf).toSorted();
  }

  /** Within each partition offsets go up by one. */
  assertInOrder(): void {
    for (const ofPartition of Map.groupBy(this.records, partitionOfRecord).values()) {
      const offsets = ofPartition.map(({ offset }) => offset);
      assert.deepEqual(offsets, offsets.map((_, index) => (offsets[0] ?? 0) + index));
    }
  }
}

/** A process of its own that plays a role and tells what it does. */
export class OtherProcess {
  readonly #told: Told[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #listening: Promise<void>;

  constructor(fixture: URL, args: readonly string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", fixture.href, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#listening = this.#listen();
  }

  async #listen(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      // What a killed process did not finish saying was not said.
      rest = lines.pop() ?? "";
      for (const line of lines) this.#told.push(JSON.parse(line) as Told);
    }
  }

  /** Resolves when it has told so much. */
  heard(count: number): Promise<void> {
    return until(() => this.#told.length >= count, `the other process told ${count} things`);
  }

  heardOf(condition: (told: Told) => boolean): Promise<void> {
    return until(() => this.#told.some(condition), "the other process told of it");
  }

  /** All it told, when it has ended by itself. */
  async ended(): Promise<readonly Told[]> {
    await this.#listening;
    assert.equal((await this.#child.status).code, 0);
    return this.#told;
  }

  /** All it told until it was killed with SIGKILL. */
  async kill(): Promise<readonly Told[]> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#child.status;
    await this.#listening;
    return this.#told;
  }
}

/** Waits for a condition; fails after a generous deadline. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + deadline;
  while (!condition()) {
    if (Date.now() > end) throw new assert.AssertionError({ message: `in vain: ${what}` });
    await delay(5);
  }
}

function placeOf({ topic, partition, offset }: LogRecord): string {
  return `${topic}:${partition}:${offset}`;
}

function partitionOfRecord({ topic, partition }: LogRecord): string {
  return `${topic}:${partition}`;
}
