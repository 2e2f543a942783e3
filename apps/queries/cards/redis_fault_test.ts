import assert from "node:assert/strict";
import calculateSlot from "cluster-key-slot";
import { Cluster } from "ioredis";
import { hearingSeconds } from "../../../infra/card-cache/port.ts";
import { createRedisCardCache } from "../../../infra/card-cache/redis.ts";
import { createMemoryFeedCache } from "../../../infra/feed-cache/memory.ts";
import { openRedis } from "../../../infra/redis/client.ts";
import { ask, type RedisKind, startRedisToFail } from "../../../infra/redis/testing.ts";
import type { Sql } from "../../../infra/sql/port.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { createCards } from "../../../projections/cards/cards.ts";
import type { Server } from "../../../scripts/stack/process.ts";
import { newId, openDatabase, postCreated, queryEdge, type Said, World } from "../testing/world.ts";

/**
 * Two query edges show posts that are edited and deleted all the while, and keep their cards in a
 * Redis that fails: no card may be shown that is older than the last eviction `hearingSeconds` before
 * the request.
 */

if (!Deno.env.has("SHUTTERLOG_TEST_REDIS_CLUSTER")) {
  console.log(
    "SHUTTERLOG_TEST_REDIS_CLUSTER is not set: cards are not tried with a Redis that fails",
  );
} else {
  for (const kind of ["Redis", "Redis Cluster"] as const) {
    test(kind, "the connections that carry evictions are cut ten times", async (it) => {
      for (let time = 0; time < 10; time++) {
        await Promise.all(
          it.servers.map((server) => ask(server, "CLIENT", "KILL", "TYPE", "pubsub")),
        );
        await it.progress();
      }
    });

    test(kind, "every connection is cut five times", async (it) => {
      for (let time = 0; time < 5; time++) {
        for (const type of ["pubsub", "normal"]) {
          await Promise.all(
            it.servers.map((server) => ask(server, "CLIENT", "KILL", "TYPE", type)),
          );
        }
        await it.progress();
      }
    });

    test(kind, "the node that tells of evictions is frozen for four seconds", async (it) => {
      const server = it.teller();
      server.freeze();
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      server.thaw();
      await it.progress();
    });
  }

  test("Redis Cluster", "a node that keeps texts is frozen for four seconds", async (it) => {
    const server = await it.keeper();
    server.freeze();
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    server.thaw();
    await it.progress();
  });

  test("Redis", "the server is killed, and starts from an old snapshot", async (it) => {
    const server = it.teller();
    await ask(server, "SAVE");
    await it.progress();
    await server.kill();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.start();
    await it.progress();
  });

  test("Redis Cluster", "the node that tells of evictions fails over", async (it) => {
    const killed = it.teller();
    await killed.kill();
    await until("a replica tells of them", () => it.teller() !== killed);
    await it.progress();
    await killed.start();
    await it.progress();
  });
}

interface System {
  readonly servers: readonly Server[];
  /** The node that serves the channel of evictions, as far as the writer knows. */
  teller(): Server;
  /** A master that tells of nothing. */
  keeper(): Promise<Server>;
  /** Resolves once something was edited, evicted, and shown from memory by both edges again. */
  progress(): Promise<void>;
}

function test(
  kind: RedisKind,
  claim: string,
  body: (system: System) => Promise<void>,
): void {
  Deno.test(`cards on ${kind}: no stale card is shown while ${claim}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "shutterlog-redis-" });
    const running = await startRedisToFail(kind, folder);
    const sql = await openDatabase();
    const open = () => openRedis(running.address, silentLogger);
    const client = open();
    const wall = new Wall(sql, createRedisCardCache({ client }));
    const edges = [1, 2].map(() => new Edge(sql, createRedisCardCache({ client: open() })));
    const [editing, working] = [new AbortController(), new AbortController()];
    const edits = wall.edit(editing.signal);
    const work = Promise.all([edits].concat(
      edges.map((edge) => edge.show(wall, working.signal)),
    ));
    // Told by whoever awaits it; this keeps it from ending the process before.
    work.catch(() => {});
    try {
      const { servers } = running;
      const progress = async () => {
        const { evictions } = wall;
        const warm = edges.map((edge) => edge.warm);
        await Promise.race([
          work,
          until(
            "something was edited, and shown from memory",
            () =>
              wall.evictions > evictions + 2 &&
              edges.every((edge, nth) => edge.warm > (warm[nth] ?? 0) + 2),
          ),
        ]);
      };
      const teller = () => {
        const [name] = client instanceof Cluster
          ? client.slots[calculateSlot("{card:evicted}")] ?? []
          : servers.map(({ address }) => address);
        const server = servers.find(({ address }) => address === name);
        assert.ok(server);
        return server;
      };
      const keeper = async () => {
        const roles = await Promise.all(servers.map((server) => ask(server, "ROLE")));
        const server = servers.find((one, nth) =>
          roles[nth]?.startsWith("master") && one !== teller()
        );
        assert.ok(server);
        return server;
      };
      await progress();
      await body({ servers, teller, keeper, progress });
      await progress();
      editing.abort();
      await edits;
      await new Promise((resolve) => setTimeout(resolve, hearingSeconds * 1000));
      for (const edge of edges) await edge.showAll(wall);
      working.abort();
      await work;
      console.log(
        `${kind}: ${wall.evictions} evictions, ${edges.map(({ shown }) => shown)} cards shown, ` +
          `${edges.map(({ warm }) => warm)} of them from memory, ` +
          `the oldest ${Math.max(...edges.map(({ oldest }) => oldest)).toFixed(0)} ms old`,
      );
    } finally {
      editing.abort();
      working.abort();
      await work.catch(() => {});
      for (const edge of edges) await edge.close();
      await wall.close();
      await sql.close();
      await running.stop();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

type CardCache = ReturnType<typeof createRedisCardCache>;

/** So many that what was missed of one is not made good by its next edit. */
const postCount = 40;

/** A post, and what has become of it: captions that are numbers, and the end of it. */
interface Post {
  readonly id: string;
  /** Version and when it was evicted: a caption's number, infinite once it is deleted. */
  readonly evicted: { readonly version: number; readonly at: number }[];
  version: number;
}

/** Posts that one account edits and deletes, and the projection that evicts their cards. */
class Wall {
  readonly #world: World;
  readonly #cache: CardCache;
  readonly #author = newId();
  posts: readonly Post[] = [];
  evictions = 0;

  constructor(sql: Sql, cache: CardCache) {
    this.#world = new World(sql);
    this.#cache = cache;
  }

  /** Until it is told to stop. */
  async edit(signal: AbortSignal): Promise<void> {
    await this.#world.register(this.#author);
    await this.#create();
    for (let version = 1; !signal.aborted; version++) {
      const post = this.posts[version % this.posts.length];
      assert.ok(post);
      const change: Said = version % 10 === 0
        ? {
          type: "PostDeleted",
          data: { postId: post.id, authorId: this.#author, cause: "author" },
        }
        : {
          type: "CaptionChanged",
          data: { postId: post.id, authorId: this.#author, caption: `${version}` },
        };
      post.version = change.type === "PostDeleted" ? Infinity : version;
      await this.#say(post, change, signal);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async #create(): Promise<void> {
    const ids = Array.from({ length: postCount }, newId);
    await this.#world.tell(...ids.map((id) => {
      const created = postCreated(id, this.#author);
      return { ...created, data: { ...created.data, caption: "0" } } as Said;
    }));
    this.posts = ids.map((id) => ({ id, evicted: [], version: 0 }));
  }

  /** The read model takes it first, and its cards are evicted then, however long that takes. */
  async #say(post: Post, said: Said, signal: AbortSignal): Promise<void> {
    const { version } = post;
    this.#world.append(said);
    await this.#world.advanceReadModel(`posts/${post.id}`);
    const events = this.#world.partitions.get(`posts/${post.id}`)?.events.slice(-1) ?? [];
    for (;;) {
      try {
        await createCards({ cardCache: this.#cache }).apply(events, new AbortController().signal);
        break;
      } catch (error) {
        if (signal.aborted) throw error;
        // As the projection does: what was not evicted is evicted again.
      }
    }
    post.evicted.push({ version, at: performance.now() });
    this.evictions += 1;
  }

  async close(): Promise<void> {
    await this.#cache.close();
  }
}

/** A query edge, and what it shows. */
class Edge {
  readonly #edge: ReturnType<typeof queryEdge>;
  readonly #cache: CardCache;
  #statements = 0;
  shown = 0;
  /** Of these, those for which the database was not asked. */
  warm = 0;
  /** Milliseconds that something was shown after its eviction, at most. */
  oldest = 0;

  constructor(sql: Sql, cache: CardCache) {
    this.#cache = cache;
    const counted: Sql = {
      query: (text, parameters) => (this.#statements++, sql.query(text, parameters)),
      execute: (text) => sql.execute(text),
      copy: (table, columns, rows) => sql.copy(table, columns, rows),
      transaction: (work) => sql.transaction(work),
      close: () => sql.close(),
    };
    this.#edge = queryEdge({
      sql: counted,
      cache: createMemoryFeedCache(),
      authorCache: createMemoryFeedCache(),
      cardCache: cache,
    });
  }

  async show(wall: Wall, signal: AbortSignal): Promise<void> {
    for (let nth = 0; !signal.aborted; nth++) {
      const post = wall.posts[nth % Math.max(1, wall.posts.length)];
      if (post) await this.#show(post);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async showAll({ posts }: Wall): Promise<void> {
    for (const post of posts) await this.#show(post);
  }

  async #show(post: Post): Promise<void> {
    const [begun, before] = [performance.now(), this.#statements];
    const response = await this.#edge.edge.request(`/v1/posts/${post.id}`);
    const body = await response.text();
    assert.ok(response.status === 200 || response.status === 404, body);
    const version = response.status === 200 ? Number(JSON.parse(body).caption) : Infinity;
    this.shown += 1;
    if (this.#statements === before) this.warm += 1;
    for (const newer of post.evicted) {
      if (newer.version <= version) continue;
      this.oldest = Math.max(this.oldest, begun - newer.at);
      assert.ok(
        begun - newer.at < hearingSeconds * 1000,
        `${version} was shown ${(begun - newer.at).toFixed(0)} ms after ${newer.version}`,
      );
    }
  }

  async close(): Promise<void> {
    await this.#edge.stop();
    await this.#cache.close();
  }
}

async function until(what: string, is: () => boolean): Promise<void> {
  const deadline = performance.now() + 90_000;
  while (!is()) {
    assert.ok(performance.now() < deadline, `${what}: not within 90 seconds`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
