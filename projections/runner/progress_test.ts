import assert from "node:assert/strict";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { SqlError, type SqlQueries } from "../../infra/sql/port.ts";
import { ensureControl } from "./control.ts";
import { LiveSql, versioned } from "./live-schemas.ts";
import { Progress } from "./progress.ts";

/** The same database, counting what it is asked. */
function counting(sql: SqlQueries) {
  const counted: SqlQueries & { queries: number } = {
    queries: 0,
    query: (text, parameters) => {
      counted.queries++;
      return sql.query(text, parameters);
    },
    execute: (text) => sql.execute(text),
    copy: (table, columns, rows) => sql.copy(table, columns, rows),
  };
  return counted;
}

const place = (offset: number, topic = "posts", partition = 0) => ({ topic, partition, offset });

Deno.test("versioned: versions schema names, and nothing that only looks like one", () => {
  const versions = new Map([["read_model", 3], ["manifests", 1]]);
  const text =
    "SELECT read_model.posts.post_id, x.manifests.n FROM read_model.posts, manifests.media, my_read_model.t";
  assert.equal(
    versioned(text, versions),
    "SELECT read_model_v3.posts.post_id, x.manifests.n FROM read_model_v3.posts, manifests_v1.media, my_read_model.t",
  );
  assert.equal(versioned(text, new Map([["manifests", 2]])).includes("read_model.posts"), true);
  assert.equal(versioned(text, new Map()), text);
});

Deno.test("projections.live and projections.checkpoints", async (t) => {
  const sql = await openInMemory();
  try {
    await ensureControl(sql);
    const go = (version: number, next: number, topic = "posts", partition = 0) =>
      sql.query(
        `INSERT INTO projections.checkpoints VALUES ('read_model', $1, $2, $3, $4)
         ON CONFLICT (projection, version, topic, partition)
         DO UPDATE SET next_offset = excluded.next_offset`,
        [version, topic, partition, next],
      );
    const live = (version: number) =>
      sql.query(
        `INSERT INTO projections.live VALUES ('read_model', $1)
         ON CONFLICT (projection) DO UPDATE SET version = excluded.version`,
        [version],
      );

    await t.step("Progress: a projection that has never been live has passed nothing", async () => {
      assert.equal(await new Progress(sql).reached([place(0)], ["read_model"], 20), false);
    });

    await live(1);
    await go(1, 5);
    await go(1, 5, "posts", 1);
    await go(2, 99);

    await t.step(
      "Progress: says whether every place has been passed by the live version",
      async () => {
        const progress = new Progress(sql);
        const reached = (...places: ReturnType<typeof place>[]) =>
          progress.reached(places, ["read_model"], 50);
        assert.equal(await reached(place(4)), true);
        assert.equal(await reached(place(5)), false, "the next to be read has not been passed");
        assert.equal(await reached(place(4), place(5, "posts", 1)), false);
        assert.equal(await reached(place(4), place(4, "posts", 1)), true);
        assert.equal(await reached(place(4), place(1000, "media")), true, "not one of its topics");
        assert.equal(await reached(place(0, "posts", 9)), false, "a partition there is not");
        assert.equal(await reached(), true);
      },
    );

    await t.step(
      "Progress: wakes at once when notified, and sleeps when nobody waits",
      async () => {
        const asked = counting(sql);
        const progress = new Progress(asked);
        const waits = [5, 6, 6].map((offset) =>
          progress.reached([place(offset)], ["read_model"], 30_000)
        );
        await go(1, 7);
        progress.notify("read_model");
        assert.deepEqual(await Promise.all(waits), [true, true, true]);
        const { queries } = asked;
        progress.notify("read_model");
        await sql.query("SELECT 1");
        assert.equal(asked.queries, queries);
      },
    );

    await t.step("Progress: sees what another process commits, by polling", async () => {
      const waiting = new Progress(sql).reached([place(7)], ["read_model"], 30_000);
      await go(1, 8);
      assert.equal(await waiting, true);
    });

    await t.step(
      "Progress: a database that fails fails those who wait, and later ones can wait again",
      async () => {
        const failing = counting(sql);
        const { query } = failing;
        failing.query = () => Promise.reject(new SqlError("08006", "gone"));
        const progress = new Progress(failing);
        await assert.rejects(progress.reached([place(0)], ["read_model"], 30_000), SqlError);
        failing.query = query;
        assert.equal(await progress.reached([place(0)], ["read_model"], 30_000), true);
      },
    );

    await t.step("LiveSql: follows the pointer, reading it at most once a second", async () => {
      for (const version of [1, 2]) {
        await sql.execute(
          `CREATE SCHEMA read_model_v${version};
           CREATE TABLE read_model_v${version}.t AS SELECT ${version} AS version`,
        );
      }
      let clock = 0;
      const asked = counting(sql);
      const queries = new LiveSql(asked, () => clock);
      const seen = async () => (await queries.query("SELECT version FROM read_model.t"))[0];
      assert.deepEqual(await seen(), { version: 1 });
      await live(2);
      assert.deepEqual(await seen(), { version: 1 });
      assert.equal(asked.queries, 3);
      clock = 1000;
      assert.deepEqual(await seen(), { version: 2 });
      await live(1);
      await queries.refresh();
      assert.deepEqual(await seen(), { version: 1 });
    });

    await t.step("LiveSql: a version dropped under it is not an error to its caller", async () => {
      const queries = new LiveSql(sql, () => 0);
      const seen = () => queries.query("SELECT version FROM read_model.t");
      assert.deepEqual(await seen(), [{ version: 1 }]);
      await live(2);
      await sql.execute("DROP SCHEMA read_model_v1 CASCADE");
      assert.deepEqual(await seen(), [{ version: 2 }]);
      await assert.rejects(
        queries.query("SELECT FROM read_model.nowhere"),
        (error) => error instanceof SqlError && error.code === "42P01",
      );
    });
  } finally {
    await sql.close();
  }
});
