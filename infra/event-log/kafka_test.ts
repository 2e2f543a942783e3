import {
  Admin,
  ConfigResourceTypes,
  IncrementalAlterConfigOperationTypes,
} from "@platformatic/kafka";
import assert from "node:assert/strict";
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

  Deno.test("kafka open: says so when nobody listens", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    listener.close();
    await assert.rejects(open(`127.0.0.1:${listener.addr.port}`), LogUnavailable);
  });
}

function open(brokers: string): Promise<EventLog> {
  return openKafkaLog({
    brokers: brokers.split(","),
    replicationFactor: 3,
    minInsyncReplicas: 2,
    logger: silentLogger,
  });
}
