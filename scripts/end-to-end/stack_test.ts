import assert from "node:assert/strict";
import { Cluster } from "ioredis";
import { drawPhoto } from "../photos/photo.ts";
import { missingFor } from "../stack/available.ts";
import { browserUpload } from "./browser.ts";
import { cloudEventsByKcat } from "./kcat.ts";
import { Load, type Report } from "./load.ts";
import { mainJob, newcomer } from "./main-job.ts";
import { type RunningStack, servers, startStack } from "./stack.ts";
import { until } from "./until.ts";

/**
 * The product on the servers it is designed for: three Kafka brokers, PostgreSQL with a replica, a
 * Redis Cluster of six, S3, nginx, and two processes of each role. They take their time to start, so
 * one test puts them through everything.
 */
const missing = await missingFor([...servers, "tests"]);
if (missing.length > 0) {
  const names = missing.map(({ name }) => name).join(", ");
  console.log(`left out: the product on real servers, for want of ${names}`);
} else {
  Deno.test("the stack, two of each role: the main job, a browser, kcat, a steady load, and kill -9 of each kind", async (t) => {
    await using stack = await startStack();
    try {
      await mainJob(t, stack.baseUrl);
      const small = await drawPhoto({ seed: 6, format: "4:3", orientation: 1 });
      await browserUpload(stack.baseUrl, small.bytes);
      await uploadWithoutComplete(stack.baseUrl, small.bytes);
      const counts = await cloudEventsByKcat(stack.env.KAFKA_BROKERS ?? "");
      console.log("kcat read", counts);
      for (const name of ["AccountRegistered", "PostCreated", "VariantsReady", "MediaPurged"]) {
        assert.ok(counts[`shutterlog.${name}.v1`], name);
      }
      await underLoad(stack);
    } catch (error) {
      console.error(await stack.told());
      throw error;
    }
  });
}

/** The store says itself what was put into it. */
async function uploadWithoutComplete(
  baseUrl: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const client = await newcomer(baseUrl, "silent");
  const signed = await client.signUpload({ contentType: "image/jpeg", byteLength: bytes.length });
  await client.put(signed, bytes);
  await until("the upload is found", async () => {
    const { status, text } = await client.request("GET", `/v1/media/${signed.mediaId}`);
    return status === 200 && JSON.parse(text).status === "ready";
  });
}

const postsPerSecond = 10;

async function underLoad(stack: RunningStack): Promise<void> {
  const { bytes } = await drawPhoto({ seed: 5, format: "12 megapixels", scene: "landscape" });
  const load = await Load.prepare(stack.baseUrl, bytes);
  const capacity = await load.uploadsPerSecond(12);
  // Some room for what else runs on the same cores.
  const uploadsPerSecond = Math.min(20, capacity / 2);
  const megabytes = (bytes.length / 1e6).toFixed(1);
  console.log(
    `12-megapixel JPEG, ${megabytes} MB: ${capacity.toFixed(1)} a second at most; ` +
      `now ${uploadsPerSecond.toFixed(1)} a second, with ${postsPerSecond} posts a second`,
  );
  const inPeace = await load.run({ seconds: 30, postsPerSecond, uploadsPerSecond });
  tell("in peace", inPeace);
  assert.equal(inPeace.failedTries + inPeace.failedReads, 0);
  await load.assertFeed();

  const victims = [
    ["kafka-1"],
    [await masterOfFeed(stack, load)],
    ["image-worker-1"],
    ["projector-1"],
    ["commands-1", "queries-1"],
  ];
  for (const names of victims) {
    const processes = names.map((name) => stack.process(name));
    const disturb = async () => {
      await Promise.all(processes.map((process) => process.kill()));
    };
    const report = await load.run({ seconds: 20, postsPerSecond, uploadsPerSecond }, disturb);
    tell(`${names.join(" and ")} killed`, report);
    await load.assertFeed();
    // The product has recovered without it: it is for those after this one.
    await Promise.all(processes.map((process) => process.start()));
  }
}

/** The name of the Redis process that is master of the reader's feed. */
async function masterOfFeed(stack: RunningStack, load: Load): Promise<string> {
  const nodes = (stack.env.REDIS_CLUSTER_NODES ?? "").split(",");
  const [host = "", port = ""] = (nodes[0] ?? "").split(":");
  const cluster = new Cluster([{ host, port: Number(port) }]);
  try {
    const readerId = load.reader.session?.account.id ?? "";
    await cluster.ping();
    for (const master of cluster.nodes("master")) {
      if ((await master.keys(`*${readerId}*`)).length === 0) continue;
      return `redis-${nodes.indexOf(`127.0.0.1:${master.options.port}`) + 1}`;
    }
    return assert.fail("no node holds the feed");
  } finally {
    cluster.disconnect();
  }
}

function tell(when: string, report: Report): void {
  const { fresh, variants } = report;
  const ms = (value: number) => `${Math.round(value)} ms`;
  console.log(
    `${when}: ${report.posts} posts and ${report.uploads} uploads acknowledged, 0 lost, 0 doubled\n` +
      `  a command was acknowledged after ${ms(report.longestCommand)} at most, ` +
      `${report.failedTries} tries failed\n` +
      `  a post was in its follower's feed after p50 ${ms(fresh.p50)}, p99 ${ms(fresh.p99)}, ` +
      `max ${ms(fresh.max)}\n` +
      `  variants were ready after p50 ${ms(variants.p50)}, p99 ${ms(variants.p99)}, ` +
      `max ${ms(variants.max)}\n` +
      `  ${report.reads} feeds read, ${report.failedReads} failed, ` +
      `${ms(report.longestWithoutFeed)} without one at most`,
  );
}
