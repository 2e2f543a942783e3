import {
  Admin,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
} from "@platformatic/kafka";
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { silentLogger } from "../telemetry/logger.ts";
import { testEventLog } from "./contract.ts";
import { newId } from "./ids.ts";
import { openKafkaLog } from "./kafka.ts";
import { type EventLog, LogUnavailable, TopicMismatch } from "./port.ts";

const brokers = Deno.env.get("SHUTTERLOG_TEST_KAFKA");
if (brokers === undefined) {
  console.log("left out: the event log on Kafka (SHUTTERLOG_TEST_KAFKA is not set)");
} else {
  testEventLog("kafka", () =>
    Promise.resolve({
      open: () => open(brokers),
      elsewhere: { fixture: new URL("./kafka_fixture.ts", import.meta.url), args: [brokers] },
      dispose: () => Promise.resolve(),
    }));

  Deno.test("kafka ensureTopics: a setting changed by hand is named, with what mends it", async () => {
    const log = await open(brokers);
    const admin = new Admin({ clientId: "operator", bootstrapBrokers: brokers.split(",") });
    try {
      const topic = `settings-${newId()}`;
      await log.ensureTopics([{ name: topic, partitions: 2 }]);
      await admin.incrementalAlterConfigs({
        resources: [{
          resourceType: ConfigResourceTypes.TOPIC,
          resourceName: topic,
          configs: [{
            name: "retention.ms",
            configOperation: IncrementalAlterConfigOperationTypes.SET,
            value: "60000",
          }],
        }],
      });
      await assert.rejects(
        async () => {
          // Each broker hears of the change in its own time.
          for (const end = Date.now() + 30_000; Date.now() < end;) {
            await log.ensureTopics([{ name: topic, partitions: 2 }]);
          }
        },
        (error) =>
          error instanceof TopicMismatch &&
          error.message.includes(`${topic} has retention.ms=60000, not -1`) &&
          error.message.includes(`--entity-name ${topic} --add-config retention.ms=-1`),
      );
    } finally {
      await admin.close();
      await log.close();
    }
  });

  Deno.test("kafka read, watermarks, consume: a topic or partition that is not there is a mismatch", async () => {
    const log = await open(brokers);
    try {
      const topic = `missing-${newId()}`;
      await assert.rejects(log.watermarks([topic]), TopicMismatch);
      const handle = () => Promise.resolve();
      await assert.rejects(log.consume({ group: topic, topics: [topic], handle }), TopicMismatch);
      await log.ensureTopics([{ name: topic, partitions: 2 }]);
      await assert.rejects(async () => {
        for await (const _ of log.read({ topic, partition: 2 }, 0));
      }, TopicMismatch);
    } finally {
      await log.close();
    }
  });

  Deno.test("kafka append: one batch of more than a message's limit is split, in order", async () => {
    const log = await open(brokers);
    try {
      const topic = `large-${newId()}`;
      await log.ensureTopics([{ name: topic, partitions: 1 }]);
      const value = "x".repeat(100_000);
      const records = Array.from({ length: 60 }, (_, index) => ({
        topic,
        key: "k",
        value: `${index} ${value}`,
        headers: {},
      }));
      const appended = await log.append(records);
      assert.deepEqual(appended.map(({ offset }) => offset), records.map((_, index) => index));
      let next = 0;
      for await (const batch of log.read({ topic, partition: 0 }, 0)) {
        for (const { value } of batch) assert.equal(Number(value.split(" ")[0]), next++);
      }
      assert.equal(next, records.length);
    } finally {
      await log.close();
    }
  });

  Deno.test("kafka consume: what trickles in is handed over together, and what comes alone too", async () => {
    const log = await open(brokers);
    const topic = `trickle-${newId()}`;
    await log.ensureTopics([{ name: topic, partitions: 4 }]);
    const batches: number[] = [];
    const handled = () => batches.reduce((sum, count) => sum + count, 0);
    const consumption = await log.consume({
      group: topic,
      topics: [topic],
      startAt: (partitions) => Promise.resolve(partitions.map(() => 0)),
      handle: (records) => Promise.resolve(void batches.push(records.length)),
    });
    try {
      const began = performance.now();
      const appended: Promise<unknown>[] = [];
      for (let nth = 0; nth < 200; nth++) {
        appended.push(log.append([{ topic, key: `${nth}`, value: "x", headers: {} }]));
        await delay(5);
      }
      await Promise.all(appended);
      await until(() => handled() === 200);
      const seconds = (performance.now() - began) / 1000;
      // Twenty a second, and one that had begun before.
      assert.ok(batches.length <= 20 * seconds + 1, `${batches.length} batches in ${seconds} s`);

      await log.append([{ topic, key: "alone", value: "x", headers: {} }]);
      await until(() => handled() === 201);
    } finally {
      await consumption.stop();
      await log.close();
    }
  });

  Deno.test("kafka consume: who says where to begin has its group told where it is, within seconds", async () => {
    const log = await open(brokers);
    const topic = `told-${newId()}`;
    await log.ensureTopics([{ name: topic, partitions: 1 }]);
    let handled = 0;
    const consumption = await log.consume({
      group: topic,
      topics: [topic],
      startAt: (partitions) => Promise.resolve(partitions.map(() => 0)),
      handle: (records) => Promise.resolve(void (handled += records.length)),
    });
    const admin = new Admin({ clientId: "operator", bootstrapBrokers: brokers.split(",") });
    const committed = async () => {
      const [group] = await admin.listConsumerGroupOffsets({ groups: [topic] });
      return Number(group?.topics[0]?.partitions[0]?.committedOffset ?? -1);
    };
    try {
      for (let nth = 1; nth <= 3; nth++) {
        await log.append([{ topic, key: "k", value: "x", headers: {} }]);
        await until(() => handled === nth);
      }
      // Nothing else comes that would wake it.
      await until(async () => await committed() === 3);
      await log.append([{ topic, key: "k", value: "x", headers: {} }]);
      await until(() => handled === 4);
      await consumption.stop();
      assert.equal(await committed(), 4);
    } finally {
      await consumption.stop();
      await admin.close();
      await log.close();
    }
  });

  Deno.test("kafka open: says so when nobody listens", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    listener.close();
    await assert.rejects(open(`127.0.0.1:${listener.addr.port}`), LogUnavailable);
  });
}

async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!await is()) {
    assert.ok(performance.now() < deadline, "not within 30 seconds");
    await delay(10);
  }
}

function open(brokers: string): Promise<EventLog> {
  return openKafkaLog({
    brokers: brokers.split(","),
    replicationFactor: 3,
    minInsyncReplicas: 2,
    logger: silentLogger,
  });
}
