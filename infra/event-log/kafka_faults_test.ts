import assert from "node:assert/strict";
import { silentLogger } from "../telemetry/logger.ts";
import { until } from "./contract_bench.ts";
import { newId } from "./ids.ts";
import { openKafkaLog } from "./kafka.ts";
import { Cluster } from "./kafka/testing/cluster.ts";
import { Load } from "./kafka/testing/load.ts";
import { type Consumption, type EventLog, LogUnavailable } from "./port.ts";

function open(brokers: readonly string[]): Promise<EventLog> {
  return openKafkaLog({
    brokers,
    replicationFactor: 3,
    minInsyncReplicas: 2,
    logger: silentLogger,
  });
}

/**
 * What must hold while brokers and connections fail. Each test has a cluster of its own; an uncaught
 * error or rejection would fail it, as it would end a process.
 */
function must(claim: string, body: (bench: Bench) => Promise<void>): void {
  Deno.test(`kafka ${claim}`, async () => {
    await using cluster = await Cluster.start();
    await using bench = new Bench(cluster, await open(cluster.addresses));
    await body(bench);
  });
}

const topic = "posts";

class Bench implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly log: EventLog;
  /** Values that some member has handled. */
  readonly handled = new Set<string>();
  readonly #group = newId();
  #load: Load | undefined;

  constructor(cluster: Cluster, log: EventLog) {
    this.cluster = cluster;
    this.log = log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load?.stop();
    await this.log.close();
  }

  async load(): Promise<Load> {
    await this.log.ensureTopics([{ name: topic, partitions: 16 }]);
    return this.#load = new Load(this.log, topic);
  }

  /** One more member of a group, over connections of its own. */
  consume(handling: () => Promise<void> = () => Promise.resolve()): Promise<Consumption> {
    return this.log.consume({
      group: this.#group,
      topics: [topic],
      maximumBatch: 50,
      handle: async (records) => {
        await handling();
        for (const { value } of records) this.handled.add(value);
      },
    });
  }

  /** Waits until so many more were acknowledged, and handled. */
  async progress(load: Load, count: number): Promise<void> {
    const [told, handled] = [load.told.size + count, this.handled.size + count];
    await until(() => load.told.size >= told, `${count} more were acknowledged`);
    await until(() => this.handled.size >= handled, `${count} more were handled`);
  }

  /** Ends the load; all that was acknowledged has been handled, and is still there. */
  async finish(load: Load): Promise<void> {
    await load.stop();
    await until(
      () => [...load.told.keys()].every((value) => this.handled.has(value)),
      "all handled",
    );
    await load.assertKept(this.log, topic);
  }
}

if (Deno.env.get("SHUTTERLOG_TEST_KAFKA") === undefined) {
  console.log("left out: the event log on failing brokers (SHUTTERLOG_TEST_KAFKA is not set)");
} else {
  must("keeps 2,000 records appended at once, each once and in order", async (bench) => {
    await bench.log.ensureTopics([{ name: topic, partitions: 16 }]);
    const appended = await Promise.all(
      Array.from(
        { length: 2_000 },
        (_, index) =>
          bench.log.append([{ topic, key: `key-${index % 40}`, value: `${index}`, headers: {} }]),
      ),
    );
    assert.equal(new Set(appended.flat().map((p) => `${p.partition}:${p.offset}`)).size, 2_000);
    const latest = new Map<string, number>();
    let count = 0;
    for (const { partition } of await bench.log.watermarks([topic])) {
      for await (const records of bench.log.read({ topic, partition }, 0)) {
        for (const { key, value } of records) {
          assert.ok(Number(value) > (latest.get(key) ?? -1), "the order they were made in");
          latest.set(key, Number(value));
          count++;
        }
      }
    }
    assert.equal(count, 2_000);
  });

  must("keeps its promises while every connection drops 30 times", async (bench) => {
    const load = await bench.load();
    const consumption = await bench.consume();
    for (let round = 0; round < 30; round++) {
      await bench.progress(load, 20);
      assert.ok(bench.cluster.cut() > 0);
    }
    await bench.progress(load, 200);
    await bench.finish(load);
    assert.equal(load.unknown.size, 0, "every append was told in the end");
    await consumption.stop();
  });

  must("goes on while a broker is dead, and when it is back", async (bench) => {
    const load = await bench.load();
    const consumption = await bench.consume();
    for (const broker of bench.cluster.brokers.slice(0, 2)) {
      await bench.progress(load, 200);
      await broker.kill();
      await bench.progress(load, 500);
      await broker.start();
    }
    await bench.progress(load, 200);
    await bench.finish(load);
    await consumption.stop();
  });

  must("goes on while brokers restart one by one", async (bench) => {
    const load = await bench.load();
    const consumption = await bench.consume();
    for (const broker of bench.cluster.brokers) {
      await bench.progress(load, 200);
      await broker.restart();
    }
    await bench.progress(load, 200);
    await bench.finish(load);
    assert.equal(load.unknown.size, 0, "every append was told in the end");
    await consumption.stop();
  });

  must("loses nothing while members come and go under slow handlers", async (bench) => {
    const load = await bench.load();
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 100));
    const steady = await bench.consume(slow);
    for (let round = 0; round < 5; round++) {
      const passing = await Promise.all([bench.consume(slow), bench.consume(slow)]);
      await bench.progress(load, 50);
      await Promise.all(passing.map((consumption) => consumption.stop()));
      await bench.progress(load, 50);
    }
    await bench.finish(load);
    await steady.stop();
  });

  must("says so in time when no broker answers, and goes on when they do", async (bench) => {
    const record = { topic, key: "k", value: "v", headers: {} };
    await bench.log.ensureTopics([{ name: topic, partitions: 1 }]);
    await bench.log.append([record]);
    const { brokers, addresses } = bench.cluster;
    for (const broker of brokers) broker.freeze();
    await Promise.all([
      assert.rejects(bench.log.append([record]), LogUnavailable),
      assert.rejects(bench.log.watermarks([topic]), LogUnavailable),
      assert.rejects(open(addresses), LogUnavailable),
    ]);
    for (const broker of brokers) broker.thaw();
    await bench.log.append([record]);
  });
}
