/** What projections must hold to only where there are several connections, and plans of a server. */
import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { idOf, now } from "../../domain/given_when_then.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import type { Sql, SqlTransaction } from "../../infra/sql/port.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { createDatabase, onPostgres } from "../../infra/sql/postgres_fixture.ts";
import { readModel } from "../read-model/read-model.ts";
import { Applier } from "./applier.ts";
import { ensureProjection } from "./control.ts";
import { dump, encodeAll, openSealer, WrittenLog } from "./harness.ts";
import { Progress } from "./progress.ts";
import { define } from "./projection.ts";
import { switchLive } from "./switch.ts";

const schema = "read_model_v1";
const never = new AbortController().signal;
const time = now;

const account = (n: number) => idOf(0x100 + n);
const post = (n: number) => idOf(0x200 + n);

function registered(n: number): DomainEvent {
  const data = { accountId: account(n), handle: `handle${n}`, displayName: null };
  return { id: newId(), type: "AccountRegistered", time, data };
}

function followed(follower: number, followee: number): DomainEvent {
  const data = { followerId: account(follower), followeeId: account(followee) };
  return { id: newId(), type: "AccountFollowed", time, data };
}

function posted(n: number, author: number): DomainEvent {
  const data = {
    postId: post(n),
    authorId: account(author),
    mediaIds: [idOf(n)],
    caption: "Dawn",
    altTexts: {},
  };
  return { id: newId(), type: "PostCreated", time, data };
}

function liked(postId: string, accountId: string, type: "PostLiked" | "PostUnliked"): DomainEvent {
  return { id: newId(), type, time, data: { postId, accountId } };
}

function commented(postId: string, authorId: string): DomainEvent {
  const data = { postId, commentId: newId(), authorId, text: "Ah" };
  return { id: newId(), type: "CommentAdded", time, data };
}

function captioned(postId: string, authorId: string): DomainEvent {
  const data = { postId, authorId, caption: "Dusk" };
  return { id: newId(), type: "CaptionChanged", time, data };
}

/** Everyone follows everyone, posts, and likes every post; some likes are taken back. */
function crowd(people: number): DomainEvent[] {
  const all = Array.from({ length: people }, (_, n) => n);
  const pairs = all.flatMap((a) => all.filter((b) => b !== a).map((b) => [a, b] as const));
  return [
    ...all.map(registered),
    ...pairs.map(([a, b]) => followed(a, b)),
    ...all.map((n) => posted(n, n)),
    ...pairs.map(([a, b]) => liked(post(a), account(b), "PostLiked")),
    ...pairs.filter(([a, b]) => (a + b) % 3 === 0)
      .map(([a, b]) => liked(post(a), account(b), "PostUnliked")),
  ];
}

/** Each partition's records in batches of `size`, a batch of each in turn. */
function* batches(partitions: readonly LogRecord[][], size: number): Generator<LogRecord[]> {
  for (let from = 0; partitions.some((records) => from < records.length); from += size) {
    for (const records of partitions) {
      const batch = records.slice(from, from + size);
      if (batch.length > 0) yield batch;
    }
  }
}

function applierOf(sql: Sql, log: WrittenLog): Applier {
  const progress = new Progress(sql);
  return new Applier({
    log,
    sql,
    projection: readModel,
    sealer: openSealer,
    progress,
    strict: true,
  });
}

async function until(claim: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `not in time: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function appliedOnPglite(log: WrittenLog): Promise<Record<string, string[]>> {
  const sql = await openInMemory();
  try {
    await ensureProjection(sql, log, readModel);
    const applier = applierOf(sql, log);
    for (const batch of batches(log.partitions, 500)) await applier.take(batch, never);
    return sorted(await dump(sql, schema));
  } finally {
    await sql.close();
  }
}

/** Two servers may sort text each in its own way. */
function sorted(tables: Record<string, string[]>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(tables).map(([name, rows]) => [name, rows.toSorted()]));
}

onPostgres("projections/runner", (server) => {
  type Open = (connections?: number) => Promise<Sql>;
  const test = (claim: string, body: (open: Open) => Promise<void>) =>
    Deno.test(`readModel on PostgreSQL: ${claim}`, async () => {
      const { url, remove } = await createDatabase(server);
      const opened: Sql[] = [];
      try {
        await body(async (connections) => {
          // Times as text are compared with PGlite's, which are in UTC.
          const sql = await openPostgres({
            url: `${url}?options=-c%20TimeZone%3DUTC`,
            connections,
          });
          opened.push(sql);
          return sql;
        });
      } finally {
        for (const sql of opened) await sql.close();
        await remove();
      }
    });

  test("owners who race for the same batches leave what one alone leaves on PGlite", async (open) => {
    const log = new WrittenLog(await encodeAll(crowd(20)), 4);
    const sql = await open();
    await ensureProjection(sql, log, readModel);
    const owners = await Promise.all(Array.from({ length: 3 }, () => open()));
    await Promise.all(owners.map(async (owner) => {
      const applier = applierOf(owner, log);
      for (const batch of batches(log.partitions, 40)) await applier.take(batch, never);
    }));
    assert.deepEqual(sorted(await dump(sql, schema)), await appliedOnPglite(log));
  });

  test("owners of different partitions who count the same accounts never deadlock", async (open) => {
    const log = new WrittenLog(await encodeAll(crowd(40)), 8);
    const sql = await open();
    await ensureProjection(sql, log, readModel);
    const connections = await Promise.all([open(), open(), open(), open()]);
    await Promise.all(connections.map(async (connection, owner) => {
      const applier = applierOf(connection, log);
      const own = log.partitions.filter((_, partition) => partition % connections.length === owner);
      for (const batch of batches(own, 50)) await applier.take(batch, never);
    }));
    const counted = await sql.query(
      `SELECT sum(follower_count)::bigint AS followers, sum(following_count)::bigint AS following,
              sum(post_count)::bigint AS posts FROM ${schema}.account_counts`,
    );
    assert.deepEqual(counted, [{ followers: 40 * 39, following: 40 * 39, posts: 40 }]);
  });

  test("a switch gives way to a batch that wants what it holds", async (open) => {
    const [sql, log] = [await open(), new WrittenLog([], 4)];
    for (const version of [1, 2]) await ensureProjection(sql, log, { ...readModel, version });
    const batch = (transaction: SqlTransaction, topic: string) =>
      transaction.query(
        "SELECT FROM projections.checkpoints WHERE version = 1 AND topic = $1 FOR UPDATE",
        [topic],
      );
    let switching: Promise<unknown> | undefined;
    await sql.transaction(async (transaction) => {
      // Who finds the circle is told off: the batch, which looks for one before a switch would.
      await transaction.execute("SET LOCAL deadlock_timeout = 700");
      await batch(transaction, "posts");
      switching = switchLive({ log, sql, sealer: openSealer }, define(readModel), 1, 2, {
        strict: true,
        differences: [],
      });
      await until(
        "it waits",
        async () => (await sql.query("SELECT FROM pg_locks WHERE NOT granted")).length > 0,
      );
      await batch(transaction, "accounts");
    });
    await switching;
    assert.deepEqual(await sql.query("SELECT version FROM projections.live"), [{ version: 2 }]);
  });

  test("sessions ended by the server cost no record and apply none twice", async (open) => {
    const log = new WrittenLog(await encodeAll(crowd(20)), 4);
    const [sql, superuser] = [await open(), await open()];
    await ensureProjection(sql, log, readModel);
    const applier = applierOf(sql, log);
    let failed = 0;
    for (const batch of batches(log.partitions, 200)) {
      const [taken] = await Promise.allSettled([
        applier.take(batch, never),
        superuser.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()`,
        ),
      ]);
      if (taken.status === "rejected") failed++;
      await until(
        "the batch passes",
        () => applier.take(batch, never).then(() => true, () => false),
      );
    }
    assert.ok(failed > 0, "no batch was cut off");
    assert.deepEqual(sorted(await dump(superuser, schema)), await appliedOnPglite(log));
  });

  test("an abort while a batch waits for another owner keeps it whole and begins no other", async (open) => {
    const log = new WrittenLog(await encodeAll(crowd(10)), 1);
    const sql = await open();
    await ensureProjection(sql, log, readModel);
    const [first = [], second = []] = log.partitions;
    const applier = applierOf(await open(), log);
    const abort = new AbortController();
    let taking: Promise<void> | undefined;
    await sql.transaction(async (owner) => {
      await owner.query("SELECT FROM projections.checkpoints FOR UPDATE");
      taking = applier.take(first, abort.signal);
      await until(
        "it waits",
        async () => (await owner.query("SELECT FROM pg_locks WHERE NOT granted")).length > 0,
      );
      abort.abort();
    });
    await taking;
    await assert.rejects(applier.take(second, abort.signal), { name: "AbortError" });
    const checkpoints = await sql.query<{ next: number }>(
      "SELECT next_offset AS next FROM projections.checkpoints WHERE next_offset > 0",
    );
    assert.deepEqual(checkpoints, [{ next: first.length }]);
  });

  test("a batch finds its rows by index in the 32 partitions, never by reading them whole", async (open) => {
    const sql = await open(1);
    await ensureProjection(sql, new WrittenLog([], 1), readModel);
    const posts = 4_000;
    const id = (n: string) => `('${idOf(0).slice(0, 24)}' || lpad(to_hex(${n}), 12, '0'))::uuid`;
    await sql.query(
      `INSERT INTO ${schema}.likes
       SELECT ${id("p")}, ${id("(100 + a)")}, gen_random_uuid()
       FROM generate_series(1, $1::integer) AS p, generate_series(1, 60) AS a`,
      [posts],
    );
    await sql.query(
      `INSERT INTO ${schema}.comments
       SELECT ${id("p")}, gen_random_uuid(), gen_random_uuid(), 'Oh', now()
       FROM generate_series(1, $1::integer) AS p, generate_series(1, 30)`,
      [posts],
    );
    await sql.query(
      `INSERT INTO ${schema}.posts
       SELECT ${id("(100 + p)")}, ${id("p")}, '{}', 'Dawn', '{}', now()
       FROM generate_series(1, 10 * $1::integer) AS p`,
      [posts],
    );
    await sql.execute("ANALYZE");
    const keys = await sql.query<{ post_id: string; account_id: string }>(
      `SELECT post_id, account_id FROM ${schema}.likes ORDER BY like_id LIMIT 1200`,
    );
    const wholeReads = async () => {
      await sql.query("SELECT pg_stat_force_next_flush()");
      const rows = await sql.query<{ table: string; reads: number }>(
        `SELECT relname AS table, seq_scan AS reads FROM pg_stat_user_tables
         WHERE schemaname = $1 AND seq_scan > 0 AND relname ~ '_\\d+$'`,
        [schema],
      );
      return new Map(rows.map(({ table, reads }) => [table, reads]));
    };
    const log = new WrittenLog(
      await encodeAll(keys.flatMap(({ post_id: postId, account_id: accountId }, n) => [
        liked(postId, accountId, n % 2 === 0 ? "PostUnliked" : "PostLiked"),
        commented(postId, accountId),
        captioned(postId, accountId),
      ])),
      1,
    );
    const before = await wholeReads();
    assert.ok(before.size > 0, "ANALYZE and the indexes' making have read the tables");
    // More batches than it takes until a prepared statement may be given a generic plan.
    const applier = applierOf(sql, log);
    for (const batch of batches(log.partitions, 400)) await applier.take(batch, never);
    assert.deepEqual(await wholeReads(), before);
  });
});
