import assert from "node:assert/strict";
import { SqlError } from "./port.ts";
import { PostgresReads } from "./postgres-reads.ts";
import { openPostgres } from "./postgres.ts";
import { createDatabase, onPostgres, Proxy } from "./postgres_fixture.ts";

const code = (expected: RegExp) => (error: unknown) =>
  error instanceof SqlError && expected.test(error.code);

onPostgres("PostgresReads", (server) => {
  // Two databases stand for two servers: which of them answers, its name tells.
  Deno.test("PostgresReads: reads from the first that answers, and from an earlier one again after a while", async () => {
    const databases = [await createDatabase(server), await createDatabase(server)] as const;
    const proxies = databases.map(({ url }) => new Proxy(url));
    const [near, far] = proxies;
    assert.ok(near && far);
    let time = 0;
    const reads = new PostgresReads([near.url, far.url], { connectTimeout: 1_000 }, () => time);
    const names = databases.map(({ url }) => new URL(url).pathname.slice(1));
    const answering = async () => {
      const [row] = await reads.query<{ name: string }>("SELECT current_database() AS name");
      return row && names.indexOf(row.name);
    };
    try {
      assert.equal(await answering(), 0);
      near.pointAt(undefined);
      assert.equal(await answering(), 1);
      near.pointAt(databases[0].url);
      assert.equal(await answering(), 1, "not back at once");
      time = 10_000;
      assert.equal(await answering(), 0);
      near.pointAt(undefined);
      far.pointAt(undefined);
      await assert.rejects(answering(), code(/^08/));
      near.pointAt(databases[0].url);
      assert.equal(await answering(), 0, "passed over, but all there is");
      await assert.rejects(reads.query("SELECT 1 / $1::integer", [0]), code(/^22012$/));
    } finally {
      await reads.close();
      for (const proxy of proxies) await proxy.stop();
      for (const { remove } of databases) await remove();
    }
  });

  Deno.test("PostgresReads: what writes is refused, on a primary too", async () => {
    const { url, remove } = await createDatabase(server);
    const reads = new PostgresReads([`${url}?options=-c%20TimeZone%3DUTC`]);
    try {
      await assert.rejects(reads.execute("CREATE TABLE t (n integer)"), code(/^25006$/));
    } finally {
      await reads.close();
      await remove();
    }
  });
});

const replicas = Deno.env.get("SHUTTERLOG_TEST_POSTGRES_REPLICAS");
if (replicas === undefined) {
  console.log("SHUTTERLOG_TEST_POSTGRES_REPLICAS is unset: reading from replicas is left out");
} else {
  onPostgres("reading from replicas", (server) => {
    Deno.test("PostgresReads: a replica shows what the primary has committed", async () => {
      const table = `replicated_${Deno.pid}`;
      const primary = await openPostgres({ url: server });
      const reads = new PostgresReads(replicas.split(","));
      try {
        await primary.execute(`CREATE TABLE ${table} AS SELECT 7 AS n`);
        const [row] = await reads.query<{ standby: boolean }>(
          "SELECT pg_is_in_recovery() AS standby",
        );
        assert.equal(row?.standby, true);
        const deadline = Date.now() + 30_000;
        const shown = () => reads.query(`SELECT n FROM ${table}`).catch(() => []);
        while ((await shown()).length === 0) {
          assert.ok(Date.now() < deadline, "it has not arrived");
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        assert.deepEqual(await shown(), [{ n: 7 }]);
      } finally {
        await primary.execute(`DROP TABLE IF EXISTS ${table}`);
        await reads.close();
        await primary.close();
      }
    });
  });
}
