/** How long a post takes to reach the last of very many followers, and what others notice of it. */
import { parseArgs } from "node:util";
import { v7 } from "uuid";
import { feedSkeleton } from "../../apps/queries/cards/skeleton.ts";
import { FeedFiller } from "../../apps/queries/feed-filler.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { createRedisFeedCache } from "../../infra/feed-cache/redis.ts";
import { openRedis } from "../../infra/redis/client.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { createFeeds, feedsMigrations } from "../../projections/feeds/feeds.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { newest } from "../../projections/read-model/reads/keyset.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { table } from "../client/terminal.ts";
import { startPostgres } from "../stack/postgres.ts";
import { startRedisCluster } from "../stack/redis.ts";

const help = `Usage: deno task bench fan-out [--followers 200000] [--cached 50]

An author with that many followers posts, and so do a hundred others with a hundred followers each, all
through one projector, on a PostgreSQL and a Redis Cluster that it starts and ends. A half of the feeds
is warm, with --cached posts in each.

  push   no author is pulled: the time until the last feed has the post
  pull   the usual threshold: the time until all feeds name the author; and, from then on, until a post
         is in the last feed

Beside each, the freshness of the others' posts meanwhile, from being posted to being in the last feed.`;

const { values } = parseArgs({
  options: {
    followers: { type: "string", default: "200000" },
    cached: { type: "string", default: "50" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(help);
  Deno.exit(0);
}
const followers = Number(values.followers);
const cachedPosts = Number(values.cached);
const others = { authors: 100, followers: 100, everyMs: 20 };

const folder = await Deno.makeTempDir({ prefix: "shutterlog-fan-out-" });
// PostgreSQL refuses root and runs as an account of its own.
await Deno.chmod(folder, 0o755);
const postgres = await startPostgres({ folder });
const cluster = await startRedisCluster({ folder });
const sql = await openPostgres({ url: postgres.url });
const client = openRedis({ nodes: cluster.nodes.split(",") }, silentLogger);
const cache = createRedisFeedCache({ client });
const authorCache = createRedisFeedCache({ client, prefix: "author:" });
try {
  const people = await fill(sql);
  const rows: (string | number)[][] = [["", "to the last feed", "others p50", "p99", "posts"]];
  const measure = async (name: string, pullThreshold: number) =>
    void rows.push([name, ...await run(people, pullThreshold)]);
  await measure("push", Infinity);
  await measure("pull, the post that crosses", 10_000);
  await measure("pull, every post after it", 10_000);
  console.log(`${followers} followers, half of their feeds warm, ${cachedPosts} posts in each\n`);
  console.log(table(rows));
} finally {
  await cache.close();
  await sql.close();
  await Promise.all([postgres.stop(), cluster.stop()]);
  await Deno.remove(folder, { recursive: true });
}

interface People {
  readonly celebrity: string;
  readonly authors: readonly string[];
  /** Whose follow of the celebrity is the oldest: the last to be told. */
  readonly last: string;
}

async function fill(sql: Sql): Promise<People> {
  const manifests = createManifests({ cdnBaseUrl: "https://cdn.example" });
  for (const { migrations, name } of [readModel, manifests]) await migrate(sql, migrations, name);
  await migrate(sql, feedsMigrations, "feeds");
  const readers = Array.from({ length: followers }, () => v7());
  const celebrity = v7();
  const authors = Array.from({ length: others.authors }, () => v7());
  const columns = ["follower_id", "followee_id", "follow_id"];
  const smaller = authors.flatMap((author) =>
    Array.from({ length: others.followers }, () => readers[random(followers)] ?? "")
      .map((reader) => [reader, author, v7()] as const)
  );
  const pairs = new Map(smaller.map((row) => [`${row[0]} ${row[1]}`, row]));
  await sql.copy("read_model.follows", columns, [
    ...readers.map((reader) => [reader, celebrity, v7()]),
    ...pairs.values(),
  ]);
  await sql.query(
    "INSERT INTO read_model.account_counts (account_id, follower_count) VALUES ($1, $2)",
    [
      celebrity,
      followers,
    ],
  );
  await sql.execute("ANALYZE");
  const ids = Array.from({ length: cachedPosts }, () => v7()).reverse();
  const warm = readers.filter((_, index) => index % 2 === 0);
  for (let at = 0; at < warm.length; at += 500) {
    await Promise.all(
      warm.slice(at, at + 500).map(async (reader) => {
        const claim = await cache.claim(reader);
        if (claim) await cache.fill(claim, ids, true);
      }),
    );
  }
  return { celebrity, authors, last: readers[0] ?? "" };
}

/** Milliseconds to the last feed, and of the others' freshness the median and the 99th percentile. */
async function run(people: People, pullThreshold: number): Promise<(string | number)[]> {
  const feeds = createFeeds({ cache, authorCache, sql, pullThreshold });
  const worker = feeds.worker.start(silentLogger);
  let stopped = false;
  let batch: { event: DomainEvent; done: (at: number) => void }[] = [];
  /** One projector: a batch of all that has come since the last. */
  const projecting = (async () => {
    while (!stopped || batch.length > 0) {
      const taken = batch.splice(0);
      batch = [];
      if (taken.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      const recorded = taken.map(({ event }) => ({
        topic: "posts",
        partition: 0,
        offset: 0,
        event,
      }));
      await sql.transaction((transaction) => readModel.apply(recorded, transaction));
      await feeds.projection.apply(recorded, new AbortController().signal);
      for (const { done } of taken) done(performance.now());
    }
  })();
  const post = (authorId: string, postId = v7()) => {
    const posted = performance.now();
    const data = { postId, authorId, mediaIds: [v7()], caption: null, altTexts: {} };
    const time = new Date().toISOString();
    const event = { id: v7(), type: "PostCreated", time, data } as DomainEvent;
    return new Promise<number>((resolve) =>
      batch.push({ event, done: (at) => resolve(at - posted) })
    );
  };
  const freshness: Promise<number>[] = [];
  const posting = setInterval(
    () => freshness.push(post(people.authors[random(others.authors)] ?? "")),
    others.everyMs,
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = freshness.length;
  const began = performance.now();
  const postId = v7();
  await post(people.celebrity, postId);
  while ((await sql.query("SELECT FROM feeds.fan_outs LIMIT 1")).length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await shown(people.last, postId);
  const took = performance.now() - began;
  // Enough of them for a percentile, also when it was over at once.
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, 3_000 - took)));
  clearInterval(posting);
  stopped = true;
  await projecting;
  await worker.stop();
  const times = (await Promise.all(freshness.slice(before))).sort((a, b) => a - b);
  const at = (share: number) => `${Math.round(times[Math.floor(share * times.length)] ?? 0)} ms`;
  return [`${Math.round(took)} ms`, at(0.5), at(0.99), times.length];
}

/** @throws unless the reader's cached feed shows the post. */
async function shown(readerId: string, postId: string): Promise<void> {
  const services = { sql, primary: sql, cache, authorCache, logger: silentLogger };
  const filler = new FeedFiller(services);
  const { ids } = await feedSkeleton(services, filler, readerId)(newest, 20);
  await filler.drain();
  if (!ids.includes(postId)) throw new Error("the last follower's feed does not show the post");
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}
