import assert from "node:assert/strict";
import { TopicMismatch } from "../port.ts";
import { assertTopic, requiredSettings } from "./topics.ts";

const durability = { replicationFactor: 3, minInsyncReplicas: 2 };
const spec = { name: "posts", partitions: 16 };
const fit = { partitions: 16, replicas: 3, settings: requiredSettings(durability) };

function mismatch(actual: Partial<typeof fit>): string {
  try {
    assertTopic(spec, { ...fit, ...actual }, durability, ["one:9092", "two:9092"]);
  } catch (error) {
    assert.ok(error instanceof TopicMismatch);
    return error.message;
  }
  throw new assert.AssertionError({ message: "a topic unfit for an event log was accepted" });
}

Deno.test("assertTopic: accepts a topic as it is created, and one with more copies", () => {
  assertTopic(spec, fit, durability, ["one:9092"]);
  assertTopic(spec, { ...fit, replicas: 5 }, durability, ["one:9092"]);
});

Deno.test("assertTopic: each setting that differs is named with the command that mends it", () => {
  for (const [setting, value] of Object.entries(requiredSettings(durability))) {
    const message = mismatch({ settings: { ...fit.settings, [setting]: "other" } });
    assert.match(message, new RegExp(`^the topic posts has ${RegExp.escape(setting)}=other, not `));
    const command = "kafka-configs.sh --bootstrap-server one:9092,two:9092 --alter " +
      `--entity-type topics --entity-name posts --add-config ${setting}=${value}`;
    assert.ok(message.endsWith(command), message);
  }
});

Deno.test("assertTopic: what is kept for a time is held to that time, and facts to for ever", () => {
  const aWeek = { ...spec, retentionMs: 604_800_000 };
  const kept = { ...fit, settings: requiredSettings(durability, aWeek) };
  assertTopic(aWeek, kept, durability, ["one:9092"]);
  assert.match(mismatch(kept), /posts has retention.ms=604800000, not -1/);
  assert.throws(() => assertTopic(aWeek, fit, durability, ["one:9092"]), TopicMismatch);
});

Deno.test("assertTopic: fewer copies or another number of partitions is a mismatch", () => {
  assert.match(mismatch({ replicas: 1 }), /posts has a replication factor of 1, not 3/);
  assert.match(mismatch({ partitions: 12 }), /posts has 12 partitions, not 16/);
});
