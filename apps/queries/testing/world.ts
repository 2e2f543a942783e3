import assert from "node:assert/strict";
import { Registry } from "prom-client";
import { catalogue, type DomainEvent } from "../../../domain/events.ts";
import { createMemoryCardCache } from "../../../infra/card-cache/memory.ts";
import type { CardCache } from "../../../infra/card-cache/port.ts";
import { createMemoryFeedCache } from "../../../infra/feed-cache/memory.ts";
import { type FeedCache } from "../../../infra/feed-cache/port.ts";
import { createEdge } from "../../../infra/http/edge.ts";
import { createRateLimits } from "../../../infra/http/rate-limit.ts";
import { migrate } from "../../../infra/sql/migrate.ts";
import { openInMemory } from "../../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../../infra/sql/port.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { createCards } from "../../../projections/cards/cards.ts";
import { createFeeds, type Feeds, feedsMigrations } from "../../../projections/feeds/feeds.ts";
import { defaultPullThreshold, type FeedsServices } from "../../../projections/feeds/services.ts";
import { createManifests } from "../../../projections/manifests/manifests.ts";
import { readModel } from "../../../projections/read-model/read-model.ts";
import type { Recorded } from "../../../projections/runner/projection.ts";
import { redeliver } from "../../../projections/runner/redeliver.ts";
import { handleOf, newId, postCreated, type Said } from "./events.ts";
import { createQueries } from "../queries.ts";
import type { QueryServices } from "../services.ts";

/** The events of one aggregate, and how many of them each projection has taken. */
export interface Partition {
  readonly events: Recorded[];
  readModel: number;
  feeds: number;
}

/** What a world does not choose by itself; `sql` is what the feeds have of the read model. */
type WorldOptions = Partial<FeedsServices & { readonly cardCache: CardCache }>;

const manifests = createManifests({ cdnBaseUrl: "https://cdn.example" });

/** A database with the real migrations, for all the worlds of one test file: each has ids of its own. */
export async function openDatabase(): Promise<Sql> {
  const sql = await openInMemory();
  for (const { migrations, name } of [readModel, manifests]) await migrate(sql, migrations, name);
  await migrate(sql, feedsMigrations, "feeds");
  return sql;
}

/** The query edge on these engines. The bearer token of a viewer is their id. */
export function queryEdge(
  engines: Pick<QueryServices, "sql" | "cache" | "authorCache" | "cardCache">,
) {
  const { app, drain, stop } = createQueries({
    primary: engines.sql,
    ...engines,
    logger: silentLogger,
    rateLimits: createRateLimits({ logger: silentLogger, scale: 0 }),
    progress: { reached: () => Promise.resolve(true) },
    accessTokens: {
      verify: (token) => Promise.resolve({ accountId: token, sessionId: token }),
    },
    sessions: { stands: () => Promise.resolve(true) },
  });
  const edge = createEdge({
    logger: silentLogger,
    metrics: new Registry(),
    corsOrigins: ["*"],
    trustedProxies: 0,
  });
  edge.route("/", app);
  return { edge, drain, stop };
}

/**
 * The query edge on a real read model, with every aggregate a partition of its own, whose progress in
 * the projections is the test's to decide: the read model, and the feeds not before it.
 */
export class World {
  readonly sql: Sql;
  readonly cache: FeedCache;
  readonly authorCache: FeedCache;
  readonly #edge: ReturnType<typeof createEdge>;
  readonly #drain: () => Promise<void>;
  readonly #feeds: Feeds;
  readonly #cards: ReturnType<typeof createCards>;
  readonly partitions = new Map<string, Partition>();

  constructor(sql: Sql, {
    cache = createMemoryFeedCache(),
    authorCache = createMemoryFeedCache(),
    cardCache = createMemoryCardCache(),
    pullThreshold = defaultPullThreshold,
    followersAtATime,
    sql: feedsSql = sql,
  }: WorldOptions = {}) {
    this.sql = sql;
    this.cache = cache;
    this.authorCache = authorCache;
    this.#cards = createCards({ cardCache });
    this.#feeds = createFeeds({
      cache,
      authorCache,
      sql: feedsSql,
      pullThreshold,
      followersAtATime,
    });
    const { edge, drain } = queryEdge({ sql, cache, authorCache, cardCache });
    this.#edge = edge;
    this.#drain = drain;
  }

  /** Appends an event to its aggregate's partition; no projection has seen it yet. */
  append(said: Said, id = newId()): void {
    const event = { ...said, id, time: new Date().toISOString() } as DomainEvent;
    const { topic, key } = catalogue.definition(event.type);
    const name = `${topic}/${key(event.data)}`;
    const partition = this.partitions.get(name) ?? { events: [], readModel: 0, feeds: 0 };
    this.partitions.set(name, partition);
    partition.events.push({ topic, partition: 0, offset: partition.events.length, event });
  }

  /** Appends events and brings every projection to the end. */
  async tell(...said: readonly Said[]): Promise<void> {
    for (const one of said) this.append(one);
    await this.catchUp();
  }

  async catchUp(): Promise<void> {
    const names = [...this.partitions.keys()];
    await this.advanceReadModel(...names);
    const pending = this.#named(names).filter(({ events, feeds }) => feeds < events.length);
    await this.#feeds.projection.apply(
      pending.flatMap(({ events, feeds, readModel }) => events.slice(feeds, readModel)),
      new AbortController().signal,
    );
    for (const partition of pending) partition.feeds = partition.readModel;
    await this.finishFanOuts();
  }

  /** One slice of a fan-out; whether there was one. */
  slice(): Promise<boolean> {
    return this.#feeds.worker.slice();
  }

  async finishFanOuts(): Promise<void> {
    while (await this.slice());
  }

  /** The read model and the manifests take what the partitions hold. */
  async advanceReadModel(...names: readonly string[]): Promise<void> {
    await this.sql.transaction(async (transaction) => {
      // Within the transaction, so that two at a time take each event once, as checkpoints see to it.
      const due = this.#named(names).map((partition) => ({
        partition,
        events: partition.events.slice(partition.readModel),
      }));
      const events = due.flatMap((one) => one.events);
      for (const projection of [readModel, manifests]) {
        const topics = new Set<string>(projection.topics);
        const its = events.filter(({ topic }) => topics.has(topic));
        if (its.length > 0) await projection.apply(its, transaction);
      }
      // Before the commit, and so before anyone can read the change: as if no time lay between them.
      await this.#cards.apply(events, new AbortController().signal);
      for (const { partition, events } of due) partition.readModel += events.length;
    });
  }

  /** What the runner does once the read model has taken dead letters. */
  async redriven(name: string): Promise<void> {
    const events = this.#named([name]).flatMap((partition) => partition.events);
    await redeliver([this.#feeds.projection], "read_model", events, new AbortController().signal);
  }

  /** The feeds take what the read model has taken; `again` of it once more, as after a kill. */
  async advanceFeeds(name: string, again = 0): Promise<void> {
    for (const partition of this.#named([name])) {
      const to = partition.readModel;
      const batch = partition.events.slice(Math.max(0, partition.feeds - again), to);
      await this.#feeds.projection.apply(batch, new AbortController().signal);
      partition.feeds = Math.max(partition.feeds, to);
    }
  }

  #named(names: readonly string[]): Partition[] {
    return names.flatMap((name) => this.partitions.get(name) ?? []);
  }

  async register(...accountIds: readonly string[]): Promise<void> {
    await this.tell(
      ...accountIds.map((accountId): Said => ({
        type: "AccountRegistered",
        data: { accountId, handle: handleOf(accountId) },
      })),
    );
  }

  /** Posts in the order given; resolves to their ids. */
  async post(authorId: string, count = 1): Promise<string[]> {
    const ids = Array.from({ length: count }, newId);
    await this.tell(...ids.map((postId) => postCreated(postId, authorId)));
    return ids;
  }

  async get(
    path: string,
    viewerId?: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const response = await this.#edge.request(path, {
      headers: {
        ...(viewerId !== undefined && { authorization: `Bearer ${viewerId}` }),
        ...headers,
      },
    });
    await this.#drain();
    return response;
  }

  /** The body of a 200. */
  async read<Body>(path: string, viewerId?: string): Promise<Body> {
    const response = await this.get(path, viewerId);
    const text = await response.text();
    assert.equal(response.status, 200, `${path}: ${text}`);
    return JSON.parse(text);
  }

  async feedPage(readerId: string, limit: number, cursor: string | null): Promise<Page> {
    const query = cursor === null ? "" : `&cursor=${cursor}`;
    const page = await this.read<Page>(`/v1/feed?limit=${limit}${query}`, readerId);
    assert.ok(
      page.nextCursor === null || page.items.length === limit,
      "a page is short only at the end",
    );
    return page;
  }

  /** Pages through a whole feed. */
  async feed(readerId: string, limit = 20): Promise<string[]> {
    return await allPages((cursor) => this.feedPage(readerId, limit, cursor));
  }
}

export interface Page<Item = { id: string }> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

/** The ids of a list, page by page to its end. */
export async function allPages(read: (cursor: string | null) => Promise<Page>): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const page = await read(cursor);
    ids.push(...page.items.map((item) => item.id));
    cursor = page.nextCursor;
  } while (cursor !== null);
  return ids;
}

export {
  blocked,
  followed,
  handleOf,
  newId,
  postCreated,
  type Said,
  unfollowed,
} from "./events.ts";
