import { v7 } from "uuid";
import { createRedisFeedCache } from "../../infra/feed-cache/redis.ts";
import { openRedis } from "../../infra/redis/client.ts";
import { feedWindow } from "../../infra/feed-cache/port.ts";
import { prepareBucket } from "../../infra/deploy/s3/bucket.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { TextLineStream } from "../end-to-end/lines.ts";
import { startForTests } from "../stack/for-tests.ts";
import { type Row, samplesOf } from "./samples.ts";
import type { Served, Target } from "./target.ts";

let redisUrl = "";

/** Every role in a process of its own, on servers started for it. */
export async function stack(): Promise<Target> {
  const servers = await startForTests();
  const roles: Role[] = [];
  const stop = async () => {
    await Promise.all(roles.map((role) => role.stop()));
    await servers.stop();
  };
  try {
    if (servers.missing.length > 0) {
      throw new Error(servers.missing.map(({ name }) => `${name} is missing`).join(", "));
    }
    const variable = (name: string) => servers.env[`SHUTTERLOG_TEST_${name}`] ?? "";
    redisUrl = variable("REDIS");
    const s3 = JSON.parse(variable("S3"));
    const bucket = "shutterlog-bench";
    await prepareBucket({ ...s3, bucket, corsOrigins: ["*"] });
    const env = {
      PORT: "0",
      LOG_LEVEL: "info",
      LOG_FORMAT: "json",
      RATE_LIMIT_SCALE: "1000",
      KAFKA_BROKERS: variable("KAFKA"),
      POSTGRES_URL: variable("POSTGRES"),
      REDIS_URL: redisUrl,
      S3_ENDPOINT: s3.endpoint,
      S3_REGION: s3.region,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY_ID: s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
      CDN_BASE_URL: `${s3.endpoint}/${bucket}`,
      SERVER_SECRETS: crypto.getRandomValues(new Uint8Array(32)).toBase64(),
    };
    // The projector makes the topics and the schemas that the others need.
    for (const name of ["projector", "image-worker", "commands", "queries"]) {
      roles.push(await Role.start(name, env));
    }
    const [, , commands, queries] = roles;
    if (!commands || !queries) throw new Error("a role did not start");
    const target: Target = {
      name: "on Kafka, PostgreSQL, Redis and S3",
      commands,
      queries,
      async forget() {
        await roles.pop()?.stop();
        const client = openRedis({ url: redisUrl }, silentLogger);
        await client.flushall();
        client.disconnect();
        const again = await Role.start("queries", env);
        roles.push(again);
        Object.assign(target, { queries: again });
      },
      sql: () => openPostgres({ url: env.POSTGRES_URL }),
      stop,
    };
    return target;
  } catch (error) {
    await stop();
    throw error;
  }
}

class Role implements Served {
  private constructor(
    readonly child: Deno.ChildProcess,
    readonly baseUrl: string,
    readonly reading: Promise<void>,
  ) {}

  get pid(): number {
    return this.child.pid;
  }

  static async start(name: string, env: Record<string, string>): Promise<Role> {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        new URL(`../../apps/${name}/main.ts`, import.meta.url).pathname,
      ],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let written = "";
    const ready = Promise.withResolvers<string>();
    const read = async () => {
      const lines = child.stderr.pipeThrough(new TextDecoderStream())
        .pipeThrough(new TextLineStream());
      for await (const line of lines) {
        written += `${line}\n`;
        const at = /"message":"ready".*"at":"([^"]+)"/.exec(line)?.[1];
        if (at) ready.resolve(at);
      }
      ready.reject(new Error(`${name} ended before it was ready:\n${written}`));
    };
    const reading = read();
    return new Role(child, await ready.promise, reading);
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.reading;
    await this.child.status;
  }
}

const feeds = 10_000;
/** Commands in one pipeline, of either side. */
const depth = 1_000;
const pushesARound = 200_000;

/**
 * Pushes to full feeds beside `redis-benchmark` pushing with LPUSHX to lists as long, on one
 * connection with the same pipeline depth, in turns; and what an entry of such a feed takes.
 */
export async function fanOutRows(rounds: number): Promise<Row[]> {
  const client = openRedis({ url: redisUrl }, silentLogger);
  const prefix = "bench:";
  const cache = createRedisFeedCache({ client, prefix });
  const readers = Array.from({ length: feeds }, (_, n) => String(n).padStart(12, "0"));
  try {
    const ids = Array.from({ length: feedWindow }, () => v7());
    const element = Buffer.alloc(16, "x");
    for (const reader of readers) {
      const claim = await cache.claim(reader);
      if (claim) await cache.fill(claim, ids, true);
      await client.rpush(`${prefix}list:${reader}`, ...Array(feedWindow).fill(element));
    }
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      theirs.push(await redisBenchmark(new URL(redisUrl), prefix));
      const began = performance.now();
      for (let pushed = 0; pushed < pushesARound; pushed += depth) {
        const from = pushed % feeds;
        await cache.push(readers.slice(from, from + depth), v7());
      }
      ours.push(pushesARound * 1000 / (performance.now() - began));
    }
    const key = `${prefix}${readers[0]}`;
    await cache.read(readers[0] ?? "", { limit: 1 });
    const bytes = Number(await client.call("MEMORY", ["USAGE", key])) / feedWindow;
    return [{
      what: "fan-out",
      unit: "pushes/s",
      ours: samplesOf(ours),
      limit: samplesOf(theirs),
      limitIs: "redis-benchmark LPUSHX",
      ratio: samplesOf(ours.map((rate, round) => rate / (theirs[round] ?? NaN))),
      aim: "≥ 0.50",
    }, {
      what: "memory of a cached feed",
      unit: "bytes/entry",
      ours: samplesOf([bytes]),
      limit: samplesOf([8]),
      limitIs: "8 bytes",
      ratio: samplesOf([bytes / 8]),
      aim: "≤ 3.00",
    }];
  } finally {
    await cache.close();
  }
}

async function redisBenchmark({ hostname, port }: URL, prefix: string): Promise<number> {
  const { stdout } = await new Deno.Command("redis-benchmark", {
    args: ["-h", hostname, "-p", port, "-c", "1", "-P", String(depth), "-r", String(feeds)].concat(
      ["-n", String(pushesARound), "--csv"],
      ["LPUSHX", `${prefix}list:__rand_int__`, "0123456789abcdef"],
    ),
  }).output();
  const last = new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "";
  return Number(last.split(",")[1]?.replaceAll('"', ""));
}
