import { Admin } from "@platformatic/kafka";
import assert from "node:assert/strict";
import { topics } from "../../domain/event.ts";
import { createDatabase } from "../../infra/sql/postgres_fixture.ts";
import { syntheticEvents } from "../bench/million.ts";
import { events, fillSynthetic, withFolders } from "./testing.ts";

const kafka = Deno.env.get("SHUTTERLOG_TEST_KAFKA");
const postgres = Deno.env.get("SHUTTERLOG_TEST_POSTGRES");

const synthetic = { seed: 12, count: 3_000, days: 2 };

if (kafka && postgres) {
  Deno.test("a log goes from SQLite to Kafka and back, and is the same; export and query read either", async () => {
    const database = await createDatabase(postgres);
    try {
      await withFolders(3, async (original = "", files = "", back = "") => {
        await fillSynthetic(original, synthetic);
        const { out: replay } = await events(original, ["replay"]);
        const env = onKafka(kafka, database.url);
        const appended = await events(files, ["append"], { input: replay, env });
        assert.equal(appended.code, 0, appended.told);
        const replayed = await events(files, ["replay"], { env });
        assert.equal(replayed.out, replay, replayed.told);
        const again = await events(files, ["append", "--force", "--json"], { input: replay, env });
        assert.equal(JSON.parse(again.out).known, synthetic.count);

        const question = ["query", "--format", "csv", "from events order by id"];
        const asked = await events(files, question, { env });
        assert.equal(asked.code, 0, asked.told);
        assert.equal(asked.out, (await events(original, question)).out);
        const [some] = [...syntheticEvents(synthetic)].filter(({ type }) => type === "PostCreated");
        assert.ok(some?.type === "PostCreated" && asked.out.includes(some.data.postId));

        assert.equal((await events(back, ["append"], { input: replayed.out })).code, 0);
        assert.equal((await events(back, ["replay"])).out, replay);
      });
    } finally {
      await database.remove();
      const admin = new Admin({ clientId: "events-test", bootstrapBrokers: kafka.split(",") });
      await admin.deleteTopics({ topics: [...topics] }).catch(() => {});
      await admin.close();
    }
  });
} else {
  console.log(
    "left out: a log that goes from SQLite to Kafka and back (SHUTTERLOG_TEST_KAFKA or _POSTGRES is not set)",
  );
}

/** What the networked engines want to be told; Redis and S3 are never asked. */
function onKafka(brokers: string, url: string): Record<string, string> {
  return {
    KAFKA_BROKERS: brokers,
    POSTGRES_URL: url,
    REDIS_URL: "redis://127.0.0.1:1",
    S3_BUCKET: "nothing",
    S3_ACCESS_KEY_ID: "nobody",
    S3_SECRET_ACCESS_KEY: "nothing",
    CDN_BASE_URL: "http://cdn.example",
    SERVER_SECRETS: btoa("x".repeat(40)),
  };
}
