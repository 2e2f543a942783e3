import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import { openKafkaLog } from "../../infra/event-log/kafka.ts";
import { type Appended } from "../../infra/event-log/port.ts";
import { formatPosition } from "../../infra/event-log/position.ts";
import { createRedisCardCache } from "../../infra/card-cache/redis.ts";
import { createRedisFeedCache } from "../../infra/feed-cache/redis.ts";
import { closeRedis, openRedis } from "../../infra/redis/client.ts";
import { Keys } from "../../infra/feed-cache/redis_test_keys.ts";
import { createDatabase } from "../../infra/sql/postgres_fixture.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { createCards } from "../../projections/cards/cards.ts";
import { createFeeds } from "../../projections/feeds/feeds.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { openSealer } from "../../projections/runner/harness.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { startProjector } from "../../projections/runner/runner.ts";
import {
  blocked,
  followed,
  handleOf,
  newId,
  postCreated,
  type Said,
  unfollowed,
} from "./testing/events.ts";
import { prefixedLog } from "./testing/prefixed-log.ts";
import { visibleTo } from "./testing/visible.ts";
import { type Page, queryEdge } from "./testing/world.ts";

/**
 * The law of feeds where things really happen at once: three projectors, two query edges and a writer
 * on Kafka, PostgreSQL and Redis, with feeds evicted at random and projectors coming and going, for
 * `FEED_LIVE_SECONDS`, 15 when unset. Prints what it saw.
 */

const kafka = Deno.env.get("SHUTTERLOG_TEST_KAFKA");
const postgres = Deno.env.get("SHUTTERLOG_TEST_POSTGRES");
const redisNodes = Deno.env.get("SHUTTERLOG_TEST_REDIS_CLUSTER");
const seconds = Number(Deno.env.get("FEED_LIVE_SECONDS") ?? 15);

const people = 40;
/** With about a third of the people following each, authors cross it all the time. */
const pullThreshold = 14;
const followersAtATime = 5;

if (kafka && postgres && redisNodes) {
  Deno.test("law of feeds: holes 0, doubles 0 under real concurrency", async () => {
    await live(kafka.split(","), postgres, redisNodes.split(","));
  });
} else {
  console.log(
    "SHUTTERLOG_TEST_KAFKA, _POSTGRES or _REDIS_CLUSTER is not set: feeds are not tried live",
  );
}

interface Fact {
  readonly event: DomainEvent;
  /** Once it is acknowledged. */
  at?: Appended;
}

async function live(brokers: string[], server: string, nodes: string[]): Promise<void> {
  const closing: (() => Promise<unknown>)[] = [];
  const opened = <T>(engine: T, close: (engine: T) => Promise<unknown>): T => {
    closing.push(() => close(engine));
    return engine;
  };
  try {
    const database = opened(await createDatabase(server), (one) => one.remove());
    const replicationFactor = Math.min(3, brokers.length);
    const openLog = async (prefix: string) =>
      prefixedLog(
        await openKafkaLog({
          brokers,
          replicationFactor,
          minInsyncReplicas: Math.max(1, replicationFactor - 1),
          logger: silentLogger,
        }),
        prefix,
      );
    const client = opened(openRedis({ nodes }, silentLogger), closeRedis);
    const [readerKeys, authorKeys, cardKeys] = [1, 2, 3].map(() => new Keys(client));
    assert.ok(readerKeys && authorKeys && cardKeys);
    closing.push(() =>
      Promise.all([readerKeys, authorKeys, cardKeys].map((keys) => keys.remove()))
    );
    const cache = createRedisFeedCache({ client, prefix: readerKeys.prefix });
    const authorCache = createRedisFeedCache({ client, prefix: authorKeys.prefix });
    const cardCache = createRedisCardCache({ client, prefix: cardKeys.prefix });
    const sql = opened(await openPostgres({ url: database.url }), (one) => one.close());
    const logPrefix = `live-${newId()}-`;
    const log = opened(await openLog(logPrefix), (one) => one.close());
    const topics = readModel.topics.concat("media");
    await log.ensureTopics(topics.map((name) => ({ name, partitions: 4 })));

    const startOne = async () => {
      const own = await openLog(logPrefix);
      const its = new LiveSql(sql);
      const feeds = createFeeds({ cache, authorCache, sql: its, pullThreshold, followersAtATime });
      const manifests = createManifests({ cdnBaseUrl: "https://cdn.example" });
      const projector = await startProjector({
        log: own,
        sql,
        projections: [readModel, manifests, createCards({ cardCache }), feeds.projection],
        sealer: openSealer,
        logger: silentLogger,
      });
      const worker = feeds.worker.start(silentLogger);
      return async () => {
        await Promise.all([projector.stop(), worker.stop()]);
        await own.close();
      };
    };
    const projectors = [await startOne(), await startOne(), await startOne()];
    closing.push(() => Promise.all(projectors.map((stop) => stop())));

    const edges = [1, 2].map(() =>
      queryEdge({ sql: new LiveSql(sql), cache, authorCache, cardCache })
    );
    closing.push(() => Promise.all(edges.map(({ stop }) => stop())));

    const scene = new Scene(log, sql, edges.map(({ edge }) => edge));
    await scene.begin();
    const until = performance.now() + seconds * 1000;
    const during = async (pause: number, act: () => Promise<unknown>) => {
      while (performance.now() < until) {
        await act();
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    };
    await Promise.all([
      during(5, () => scene.sayOne()),
      during(30, () => {
        const victim = [scene.anyone()];
        return (Math.random() < 0.8 ? cache : authorCache).drop(victim);
      }),
      during(seconds * 200, async () => {
        const stop = projectors.shift();
        projectors.push(await startOne());
        await stop?.();
      }),
      ...edges.map((_, edge) => during(50, () => scene.pass(edge))),
    ]);
    await scene.quiet();
    await scene.compareAll();
    console.log(scene.report());
    assert.deepEqual([scene.holes, scene.doubles, scene.strangers], [0, 0, 0], scene.report());
    assert.ok(scene.passes > 10 && scene.pulled > 0, scene.report());
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** A position to wait for: what the checkpoints have passed is to be shown, not what was kept before. */
const anywhere = formatPosition([{ topic: "posts", partition: 0, offset: 0 }]);

/** Who says and reads what, and what the log says they must see. */
class Scene {
  readonly #log: ReturnType<typeof prefixedLog>;
  readonly #sql: Awaited<ReturnType<typeof openPostgres>>;
  readonly #edges: readonly ReturnType<typeof queryEdge>["edge"][];
  readonly #people = Array.from({ length: people }, newId);
  readonly #facts: Fact[] = [];
  holes = 0;
  doubles = 0;
  strangers = 0;
  passes = 0;
  pages = 0;
  pulled = 0;

  constructor(
    log: ReturnType<typeof prefixedLog>,
    sql: Awaited<ReturnType<typeof openPostgres>>,
    edges: readonly ReturnType<typeof queryEdge>["edge"][],
  ) {
    this.#log = log;
    this.#sql = sql;
    this.#edges = edges;
  }

  anyone(): string {
    return this.#people[Math.floor(Math.random() * people)] ?? "";
  }

  /** Authors are few, so that each has many followers. */
  #author(): string {
    return this.#people[Math.floor(Math.random() ** 2 * 12)] ?? "";
  }

  async begin(): Promise<void> {
    await this.#say(
      ...this.#people.map((accountId): Said => ({
        type: "AccountRegistered",
        data: { accountId, handle: handleOf(accountId) },
      })),
    );
    await this.#say(
      ...Array.from({ length: people * 4 }, () => this.#two()).map((pair) => followed(...pair)),
    );
    await this.quiet();
  }

  #two(): [string, string] {
    const [reader, author] = [this.anyone(), this.#author()];
    return reader === author ? this.#two() : [reader, author];
  }

  async sayOne(): Promise<void> {
    const dice = Math.random();
    const pair = this.#two();
    if (dice < 0.6) return await this.#say(postCreated(newId(), this.#author()));
    if (dice < 0.76) return await this.#say(followed(...pair));
    if (dice < 0.94) return await this.#say(unfollowed(...pair));
    if (dice < 0.96) return await this.#say(...blocked(...pair));
    if (dice < 0.97) {
      const [blockerId, blockedId] = pair;
      return await this.#say({ type: "AccountUnblocked", data: { blockerId, blockedId } });
    }
    const posts = this.#facts.filter(({ event }) => event.type === "PostCreated");
    const post = posts[Math.floor(Math.random() * posts.length)]?.event;
    if (post?.type !== "PostCreated") return;
    const { postId, authorId } = post.data;
    await this.#say({ type: "PostDeleted", data: { postId, authorId, cause: "author" } });
  }

  async #say(...said: readonly Said[]): Promise<void> {
    const facts = said.map((one): Fact => ({
      event: { ...one, id: newId(), time: new Date().toISOString() } as DomainEvent,
    }));
    // Before they are appended, for from then on they may show.
    this.#facts.push(...facts);
    const records = await Promise.all(facts.map(({ event }) => encodeEvent(event, openSealer)));
    const places = await this.#log.append(records);
    facts.forEach((fact, index) => Object.assign(fact, { at: places[index] }));
  }

  /** One reader pages through their feed, for a while. */
  async pass(edge: number): Promise<void> {
    const readerId = this.anyone();
    const { taken, begun } = await this.#taken();
    const due = visibleTo(readerId, taken.map(({ event }) => event));
    for (const postId of begun) due.delete(postId);
    const limit = [3, 20, 100][Math.floor(Math.random() * 3)] ?? 3;
    const seen: string[] = [];
    let cursor: string | null = null;
    let pages = 0;
    do {
      const query: string = cursor === null ? "" : `&cursor=${cursor}`;
      const response = await this.#edges[edge]?.request(`/v1/feed?limit=${limit}${query}`, {
        headers: { authorization: `Bearer ${readerId}`, "await-position": anywhere },
      });
      assert.equal(response?.status, 200);
      const page: Page = await response.json();
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== null && ++pages < 12);
    this.pages += pages + 1;
    this.passes += 1;
    this.#judge(readerId, seen, cursor === null, due, taken);
  }

  #judge(
    readerId: string,
    seen: readonly string[],
    ended: boolean,
    due: ReadonlySet<string>,
    taken: readonly Fact[],
  ): void {
    const settled = new Set(taken);
    const unsettled = this.#facts.filter((fact) => !settled.has(fact)).map(({ event }) => event);
    const excused = new Set<string>();
    for (const { type, data } of unsettled) {
      if (type === "PostDeleted") excused.add(data.postId);
      else if (type === "AccountUnfollowed" && data.followerId === readerId) {
        excused.add(data.followeeId);
      } else if (type === "AccountBlocked") {
        if (data.blockerId === readerId) excused.add(data.blockedId);
        if (data.blockedId === readerId) excused.add(data.blockerId);
      }
    }
    const authors = new Map<string, string>();
    const [ever, gone] = [new Set<string>(), new Set<string>()];
    for (const { event: { type, data } } of this.#facts) {
      if (type === "PostCreated") authors.set(data.postId, data.authorId);
      if (type === "AccountFollowed" && data.followerId === readerId) ever.add(data.followeeId);
    }
    for (const { event } of taken) {
      if (event.type === "PostDeleted") gone.add(event.data.postId);
    }
    const shown = new Set(seen);
    this.doubles += seen.length - shown.size;
    for (const [index, id] of seen.entries()) {
      if (id >= (seen[index - 1] ?? "g")) this.doubles += 1;
      if (!ever.has(authors.get(id) ?? "") || gone.has(id)) this.strangers += 1;
    }
    const reached = ended ? "" : seen.at(-1) ?? "";
    for (const id of due) {
      if (id < reached || shown.has(id)) continue;
      if (!excused.has(id) && !excused.has(authors.get(id) ?? "")) this.holes += 1;
    }
  }

  /** What the feeds and the cards have taken, and which posts they are still bringing to followers. */
  async #taken(): Promise<{ taken: Fact[]; begun: string[] }> {
    const facts = [...this.#facts];
    const rows = await this.#sql.query<{ topic: string; partition: number; next_offset: number }>(
      `SELECT topic, partition, min(next_offset) AS next_offset FROM projections.checkpoints
       WHERE projection IN ('feeds', 'cards') GROUP BY topic, partition HAVING count(*) = 2`,
    );
    const next = new Map(rows.map((row) => [`${row.topic}/${row.partition}`, row.next_offset]));
    const fanOuts = await this.#sql.query<{ fan_out_id: string }>(
      "SELECT fan_out_id FROM feeds_v1.fan_outs",
    );
    const [pulled] = await this.#sql.query<{ n: number }>(
      "SELECT count(*) AS n FROM feeds_v1.pulled_authors WHERE announced_by IS NULL",
    );
    this.pulled = Math.max(this.pulled, pulled?.n ?? 0);
    const taken = facts.filter(({ at }) =>
      at && at.offset < (next.get(`${at.topic}/${at.partition}`) ?? 0)
    );
    return { taken, begun: fanOuts.map((row) => row.fan_out_id) };
  }

  /** Resolves once the feeds and the cards have taken all there is. */
  async quiet(): Promise<void> {
    const deadline = performance.now() + 60_000;
    for (;;) {
      const { taken, begun } = await this.#taken();
      if (taken.length === this.#facts.length && begun.length === 0) return;
      assert.ok(performance.now() < deadline, "they catch up within a minute");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async compareAll(): Promise<void> {
    const events = this.#facts.map(({ event }) => event);
    for (const readerId of this.#people) {
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const query: string = cursor === null ? "" : `&cursor=${cursor}`;
        const response = await this.#edges[0]?.request(`/v1/feed?limit=100${query}`, {
          headers: { authorization: `Bearer ${readerId}`, "await-position": anywhere },
        });
        const page: Page = await response?.json();
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== null);
      const said = visibleTo(readerId, events);
      this.holes += said.difference(new Set(seen)).size;
      this.strangers += new Set(seen).difference(said).size;
      this.doubles += seen.length - new Set(seen).size;
    }
  }

  report(): string {
    const posts = this.#facts.filter(({ event }) => event.type === "PostCreated").length;
    return `${seconds} s: ${this.#facts.length} events, ${posts} of them posts; ${this.passes} passes ` +
      `over ${this.pages} pages; up to ${this.pulled} authors pulled; ` +
      `holes ${this.holes}, doubles ${this.doubles}, strangers ${this.strangers}`;
  }
}
