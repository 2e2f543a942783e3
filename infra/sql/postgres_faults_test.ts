import assert from "node:assert/strict";
import { type Sql, SqlError } from "./port.ts";
import { openPostgres, type PostgresOptions } from "./postgres.ts";
import { Cluster, onPostgres, Proxy } from "./postgres_fixture.ts";

/** Bounds small enough to be met in a test. */
const bounds = { connectTimeout: 1_000, statementTimeout: 1_000 };
/** Milliseconds in which every call must have ended, whatever happens: the bounds and some slack. */
const patience = 10_000;

/** What a caller may be told when the server is in trouble: class 08, or the server's own word. */
const trouble = /^(?:08|57P0|53300)/;

interface Outcomes {
  done: number;
  readonly refused: Map<string, number>;
}

/** Asks without pause, `width` at a time, until it is stopped; counts what it was told. */
function load(sql: Sql, width: number) {
  const outcomes: Outcomes = { done: 0, refused: new Map() };
  let stopped = false;
  let slowest = 0;
  const ask = async (lane: number) => {
    while (!stopped) {
      const begun = performance.now();
      try {
        if (lane % 3 > 0) await sql.query("SELECT $1::integer AS n", [lane]);
        else {
          await sql.transaction(async (transaction) => {
            await transaction.query("SELECT $1::integer AS n", [lane]);
            await transaction.query("SELECT $1::integer AS n", [lane]);
          });
        }
        outcomes.done++;
      } catch (error) {
        const code = error instanceof SqlError ? error.code : String(error);
        outcomes.refused.set(code, (outcomes.refused.get(code) ?? 0) + 1);
        // A refusal is quick; the others get their turn.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      slowest = Math.max(slowest, performance.now() - begun);
    }
  };
  const lanes = Promise.all(Array.from({ length: width }, (_, lane) => ask(lane)));
  return {
    outcomes,
    async stop() {
      stopped = true;
      await lanes;
      assert.ok(slowest < patience, `a call took ${Math.round(slowest)} ms`);
      for (const code of outcomes.refused.keys()) assert.match(code, trouble);
    },
  };
}

async function until(claim: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `not in time: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** It serves again, on all of its connections. */
async function serves(sql: Sql): Promise<void> {
  await until("serves again", async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: 50 }, (_, n) => sql.query("SELECT $1::integer AS n", [n])),
    );
    return answers.every(({ status }) => status === "fulfilled");
  });
}

const codeOf = (error: unknown) => error instanceof SqlError ? error.code : String(error);
const refusedWith = (code: RegExp) => (error: unknown) => code.test(codeOf(error));

onPostgres("infra/sql in trouble", (server) => {
  let cluster: Cluster;
  Deno.test.beforeAll(async () => {
    cluster = await Cluster.start(server);
  });
  Deno.test.afterAll(() => cluster.remove());

  type Open = (options?: Partial<PostgresOptions>) => Promise<Sql>;
  const test = (claim: string, body: (open: Open) => Promise<void>) =>
    Deno.test(`openPostgres: ${claim}`, async () => {
      const opened: Sql[] = [];
      try {
        await body(async (options) => {
          const sql = await openPostgres({ url: cluster.url, ...bounds, ...options });
          opened.push(sql);
          return sql;
        });
      } finally {
        for (const sql of opened) await sql.close();
      }
    });

  test("lives through its connections being ended 30 times under load", async (open) => {
    const sql = await open();
    const superuser = await open({ connections: 1 });
    const under = load(sql, 30);
    for (let round = 0; round < 30; round++) {
      const before = under.outcomes.done;
      await until("queries pass", () => under.outcomes.done > before + 100);
      const ended = await superuser.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
      );
      assert.ok(ended.length > 0);
    }
    const before = under.outcomes.done;
    await until("queries pass", () => under.outcomes.done > before + 1000);
    await under.stop();
    assert.ok(under.outcomes.refused.size > 0, "no call has noticed");
    await serves(sql);
  });

  test(
    "answers class 08 while the server is frozen, and serves when it thaws",
    async (open) => {
      const sql = await open();
      const under = load(sql, 30);
      await until("queries pass", () => under.outcomes.done > 100);
      cluster.freeze();
      const frozen = Date.now();
      while (Date.now() - frozen < 20_000) {
        const begun = Date.now();
        await assert.rejects(sql.query("SELECT 1"), refusedWith(/^(?:08|53300)/));
        assert.ok(Date.now() - begun < patience);
      }
      cluster.thaw();
      const before = under.outcomes.done;
      await until("queries pass", () => under.outcomes.done > before + 1000);
      await under.stop();
      await serves(sql);
    },
  );

  test(
    "answers class 08 while the server is down, and serves when it is up",
    async (open) => {
      const sql = await open();
      const under = load(sql, 30);
      await until("queries pass", () => under.outcomes.done > 100);
      await cluster.stop();
      const stopped = Date.now();
      while (Date.now() - stopped < 20_000) {
        await assert.rejects(sql.query("SELECT 1"), refusedWith(/^(?:08001|53300)$/));
        await assert.rejects(
          sql.transaction(() => Promise.resolve()),
          refusedWith(/^(?:08001|53300)$/),
        );
      }
      await cluster.start();
      const before = under.outcomes.done;
      await until("queries pass", () => under.outcomes.done > before + 1000);
      await under.stop();
      await serves(sql);
    },
  );

  test("follows a fixed address to another server", async (open) => {
    const other = await Cluster.start(server);
    const proxy = new Proxy(cluster.url);
    try {
      const sql = await open({ url: proxy.url });
      const serverPort = async () =>
        (await sql.query<{ port: number }>("SELECT inet_server_port() AS port"))[0]?.port;
      assert.equal(await serverPort(), cluster.port);
      const under = load(sql, 30);
      await until("queries pass", () => under.outcomes.done > 100);
      proxy.pointAt(undefined);
      await until("it is noticed", () => under.outcomes.refused.size > 0);
      await assert.rejects(sql.query("SELECT 1"), refusedWith(/^(?:08|53300)/));
      proxy.pointAt(other.url);
      const before = under.outcomes.done;
      await until("queries pass", () => under.outcomes.done > before + 1000);
      await under.stop();
      await serves(sql);
      assert.equal(await serverPort(), other.port);
    } finally {
      await proxy.stop();
      await other.remove();
    }
  });

  test(
    "a transaction cut off in the middle leaves nothing and says class 08",
    async (open) => {
      const proxy = new Proxy(cluster.url);
      try {
        const sql = await open({ url: proxy.url });
        await sql.execute("CREATE TABLE t (n integer)");
        await assert.rejects(
          sql.transaction(async (transaction) => {
            await transaction.query("INSERT INTO t VALUES ($1)", [1]);
            proxy.pointAt(cluster.url);
            await transaction.query("INSERT INTO t VALUES ($1)", [2]);
          }),
          refusedWith(/^08006$/),
        );
        await assert.rejects(
          sql.transaction(async (transaction) => {
            await transaction.query("INSERT INTO t VALUES ($1)", [3]);
            proxy.pointAt(cluster.url);
          }),
          refusedWith(/^08007$/),
          "lost at the COMMIT",
        );
        const rows = function* () {
          for (let n = 0; n < 200_000; n++) {
            if (n === 100_000) proxy.pointAt(cluster.url);
            yield [n];
          }
        };
        await assert.rejects(sql.copy("t", ["n"], rows()), refusedWith(/^08006$/));
        await serves(sql);
        assert.deepEqual(await sql.query("SELECT n FROM t"), []);
      } finally {
        await proxy.stop();
      }
    },
  );

  test("a thousand queries at once are all answered", async (open) => {
    const sql = await open({ statementTimeout: 10_000, connectTimeout: 10_000 });
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, n) => sql.query("SELECT $1::integer AS n", [n])),
    );
    assert.deepEqual(answers, Array.from({ length: 1000 }, (_, n) => [{ n }]));
  });

  test("a slow query is cancelled, and a full pool refuses in time", async (open) => {
    const sql = await open({ connections: 2, statementTimeout: 3_000, connectTimeout: 500 });
    const slow = [1, 2].map(() => sql.query("SELECT pg_sleep($1)", [60]));
    const outcomes = Promise.allSettled(slow);
    await assert.rejects(sql.query("SELECT 1"), refusedWith(/^53300$/));
    for (const outcome of await outcomes) {
      assert.equal(outcome.status === "rejected" && codeOf(outcome.reason), "57014");
    }
    await serves(sql);
  });

  test("a transaction is over when it has ended", async (open) => {
    const sql = await open();
    let kept: Pick<Sql, "query"> = sql;
    await sql.transaction((transaction) => {
      kept = transaction;
      return Promise.resolve();
    });
    await assert.rejects(kept.query("SELECT 1"), refusedWith(/^25P01$/));
  });
});
