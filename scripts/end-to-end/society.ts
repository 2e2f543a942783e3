import assert from "node:assert/strict";
import { topics } from "../../domain/event.ts";
import { loadNetworkedConfig } from "../../infra/config/config.ts";
import { NetworkedEngines } from "../../infra/config/networked.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { writeSynthetic } from "../bench/million.ts";
import { load, type Order, type Outcome, type Request, requestText } from "../bench/http-load.ts";
import { mapLimited } from "../demo/concurrency.ts";
import { drawPhoto } from "../photos/photo.ts";
import { Load, type Report } from "./load.ts";
import { ReadYourWrites } from "./read-your-writes.ts";
import type { RunningStack } from "./stack.ts";
import { until } from "./until.ts";

/** What people do, in a second. */
export interface Rates {
  readonly reads: number;
  /** Posts among them. */
  readonly writes: number;
}

/** What came of it while something else went on. No request has failed, or this would not be. */
export interface Traffic {
  readonly reads: Outcome;
  readonly writes: Outcome;
  /** Of the posts among the writes: lags from their acknowledgement to a page that shows them. */
  readonly posts: Report;
  /** Writes whose effect was looked for at once, with their `Position`. */
  readonly awaited: number;
  /** Milliseconds. */
  readonly longestAwaited: number;
}

/** Of their past. */
const events = 15_000;
const readers = 150;
const postsPerSecond = 10;
/**
 * Of those who read, and of those who write: so many have a request under way at once, or a queue would
 * hold back who comes next. The gateway lets one address have 200.
 */
const connections = { reads: 64, writes: 120 } as const;

/** People who have been there for a while, and those of them who read and write now. */
export class Society implements AsyncDisposable {
  private constructor(
    readonly log: EventLog,
    readonly sql: Sql,
    readonly sealer: TextSealer,
    readonly load: Load,
    readonly readYourWrites: ReadYourWrites,
    readonly close: () => Promise<void>,
    readonly baseUrl: string,
    readonly reads: readonly Request[],
    readonly writes: readonly Request[],
  ) {}

  /** Their past is written to the log; their feeds are warm. */
  static async prepare(stack: RunningStack, seed: number): Promise<Society> {
    const { baseUrl } = stack;
    const engines = new NetworkedEngines(loadNetworkedConfig({ ...stack.env }), silentLogger);
    const [log, sql] = [await engines.log(), await engines.sql({ statementTimeout: 60_000 })];
    const { identity, sessions, sealer } = await engines.identity();
    await writeSynthetic(log, { seed, count: events, identity });
    await until("the projections have caught up", () => areUpToDate(log, sql));
    await settled(log);

    const { bytes } = await drawPhoto({ seed, size: { width: 400, height: 300 } });
    const loaded = await Load.prepare(baseUrl, bytes);
    const readYourWrites = await ReadYourWrites.prepare(baseUrl, bytes);

    const live = new LiveSql(sql);
    const followers = await live.query<{ id: string }>(
      `SELECT follower_id AS id FROM read_model.follows
       GROUP BY follower_id ORDER BY count(*) DESC LIMIT $1`,
      [2 * readers],
    );
    const posts = await live.query<{ id: string }>(
      `SELECT post_id AS id FROM read_model.posts WHERE deleted_at IS NULL
       ORDER BY post_id DESC LIMIT $1`,
      [readers],
    );
    const signedIn = (await mapLimited(followers, 8, ({ id }) => sessions.open(id)))
      .filter((one) => one !== undefined).slice(0, readers);
    const [reads, writes]: [Request[], Request[]] = [[], []];
    for (const [nth, { accessToken }] of signedIn.entries()) {
      const headers = { Authorization: `Bearer ${accessToken}` };
      const post = (further: number) => `/v1/posts/${posts[(nth + further) % posts.length]?.id}`;
      reads.push({ path: "/v1/feed", headers }, { path: post(0), headers });
      const like = (further: number) =>
        ({ method: "PUT", path: `${post(further)}/like`, headers }) as const;
      const comment = {
        method: "POST",
        path: `${post(1)}/comments`,
        headers,
        body: JSON.stringify({ text: "Lovely light!" }),
      };
      const unlike = { method: "DELETE", path: `${post(0)}/like`, headers };
      // Most of what people write is likes.
      writes.push(like(0), like(1), comment, like(2), unlike, like(3));
      if (nth % 3 > 0) continue;
      const followed = loaded.authorIds[nth / 3 % loaded.authorIds.length];
      writes.push({ method: "PUT", path: `/v1/accounts/${followed}/follow`, headers });
    }
    // Some have blocked each other: they see nothing of it.
    const answered = async (one: Request) => await statusOf(baseUrl, one) < 300;
    const all = await mapLimited([...reads, ...writes], 8, async (one) => ({
      one,
      ok: await answered(one),
    }));
    const known = (some: Request[]) =>
      some.filter((request) => all.some(({ one, ok }) => ok && one === request));
    return new Society(
      log,
      sql,
      sealer,
      loaded,
      readYourWrites,
      () => engines.close(),
      baseUrl,
      known(reads),
      known(writes),
    );
  }

  /** What the machine can do of each at a time, for some seconds, once its programs are warm. */
  async capacity(seconds: number): Promise<Rates> {
    const measured = async (kind: "reads" | "writes") => {
      await load({ ...this.#order(kind), seconds });
      const { answers, seconds: taken } = await load({ ...this.#order(kind), seconds });
      return answers / taken;
    };
    return { reads: await measured("reads"), writes: await measured("writes") };
  }

  /**
   * Reads and writes go on while the task does.
   * @throws when a request fails, a page lacks what it has shown before, or an awaited write is not seen.
   */
  async during<T>(rates: Rates, task: () => Promise<T>): Promise<[T, Traffic]> {
    const { readYourWrites } = this;
    const pairsBefore = readYourWrites.pairs;
    readYourWrites.longest = 0;
    const ending = new AbortController();
    const ended = new Promise((resolve) => ending.signal.addEventListener("abort", resolve));
    const { signal } = ending;
    const parts = Promise.all([
      load({ ...this.#order("reads"), perSecond: rates.reads }, signal),
      load({ ...this.#order("writes"), perSecond: rates.writes - postsPerSecond }, signal),
      this.load.during(ended, { postsPerSecond, uploadsPerSecond: 0 }),
      readYourWrites.until(signal),
    ]);
    try {
      const result = await Promise.race([task(), parts.then(() => assert.fail("it has ended"))]);
      ending.abort();
      const [reads, writes, posts] = await parts;
      assert.equal(posts.failedTries + posts.failedReads, 0, "requests failed");
      const awaited = readYourWrites.pairs - pairsBefore;
      const traffic = { reads, writes, posts, awaited, longestAwaited: readYourWrites.longest };
      return [result, traffic];
    } finally {
      ending.abort();
      await parts.catch(() => {});
    }
  }

  #order(kind: "reads" | "writes"): Order {
    const { hostname, port } = new URL(this.baseUrl);
    const requests = this[kind].map(requestText);
    return { hostname, port: Number(port), requests, connections: connections[kind] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Whether the live versions have passed all that is in the log. */
export async function areUpToDate(log: EventLog, sql: Sql): Promise<boolean> {
  const rows = await sql.query<{ topic: "posts"; partition: number; next: number }>(
    `SELECT topic, partition, min(next_offset) AS next
     FROM projections.checkpoints JOIN projections.live USING (projection, version)
     GROUP BY topic, partition`,
  );
  const topics = [...new Set(rows.map(({ topic }) => topic))];
  return (await log.watermarks(topics)).every(({ topic, partition, high }) =>
    rows.some((row) => row.topic === topic && row.partition === partition && row.next >= high)
  );
}

/** Until nothing has followed from what is in the log for two seconds: media purged, accounts ended. */
async function settled(log: EventLog): Promise<void> {
  let [before, since] = ["", performance.now()];
  await until("nothing follows any more", async () => {
    const now = JSON.stringify(await log.watermarks(topics));
    if (now !== before) [before, since] = [now, performance.now()];
    return performance.now() - since > 2_000;
  });
}

async function statusOf(baseUrl: string, { method, path, headers, body }: Request) {
  const answer = await fetch(baseUrl + path, {
    headers: { ...headers, ...(body !== undefined && { "Content-Type": "application/json" }) },
    ...(method !== undefined && { method }),
    ...(body !== undefined && { body }),
  });
  await answer.body?.cancel();
  return answer.status;
}
