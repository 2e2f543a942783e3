import assert from "node:assert/strict";
import { type Sql, SqlError, type SqlQueries } from "./port.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof SqlError && error.code === expected;

const idOf = (n: number) => `01900000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const odd = [
  "",
  "\\N",
  "\\.",
  "a\tb\nc\r\nd\\e\\",
  "'; DROP TABLE x; --",
  "𝒳 👩‍👩‍👧 é \u202e",
  '{a,"b"}',
  "NULL",
];

/**
 * What every database must do. Each test works in a schema of its own, so that one connection serves
 * them all.
 */
export function sqlContract(name: string, open: () => Promise<Sql>): void {
  let shared: Sql;
  Deno.test.beforeAll(async () => {
    shared = await open();
  });
  Deno.test.afterAll(() => shared.close());
  let schemas = 0;
  const test = (claim: string, body: (sql: Sql, schema: string) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      const sql = shared;
      const schema = `contract_${Deno.pid}_${++schemas}`;
      await sql.execute(`CREATE SCHEMA ${schema}`);
      try {
        await body(sql, schema);
      } finally {
        await sql.execute(`DROP SCHEMA ${schema} CASCADE`);
      }
    });

  test("every type we use goes in as a parameter and comes back", async (sql) => {
    const time = new Date("2026-01-02T03:04:05.678Z");
    const [row] = await sql.query(
      `SELECT $1::uuid AS id, $2::uuid[] AS ids, $3::bigint AS big, $4::integer AS int,
              $5::timestamptz AS time, $6::timestamptz AS rfc3339, $7::jsonb AS json, $8::text[] AS texts,
              $9::bigint[] AS bigs, $10::boolean AS flag, $11::text AS nothing, count(*) AS counted`,
      [
        idOf(1),
        [idOf(2), idOf(3)],
        2 ** 53 - 1,
        -7,
        time,
        "2026-01-02T03:04:05.678Z",
        JSON.stringify({ a: [1, null, "ü"], b: { c: true } }),
        [...odd, null],
        [1, 2 ** 40],
        true,
        null,
      ],
    );
    assert.deepEqual(row, {
      id: idOf(1),
      ids: [idOf(2), idOf(3)],
      big: 2 ** 53 - 1,
      int: -7,
      time,
      rfc3339: time,
      json: { a: [1, null, "ü"], b: { c: true } },
      texts: [...odd, null],
      bigs: [1, 2 ** 40],
      flag: true,
      nothing: null,
      counted: 1,
    });
  });

  test("unnest turns parallel arrays into rows", async (sql) => {
    const rows = await sql.query(
      "SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS t (id, word, n)",
      [[idOf(1), idOf(2)], ["a", null], [1, 2]],
    );
    assert.deepEqual(rows, [{ id: idOf(1), word: "a", n: 1 }, { id: idOf(2), word: null, n: 2 }]);
  });

  test("an error bears its SQLSTATE and leaves the database usable", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.one (n integer PRIMARY KEY)`);
    await sql.query(`INSERT INTO ${schema}.one VALUES (1)`);
    await assert.rejects(sql.query(`INSERT INTO ${schema}.one VALUES (1)`), code("23505"));
    await assert.rejects(sql.query("SELECT 1 / $1::integer", [0]), code("22012"));
    await assert.rejects(sql.query("SELECT $1::uuid", ["nonsense"]), code("22P02"));
    await assert.rejects(sql.query(`SELECT FROM ${schema}.nowhere`), code("42P01"));
    await assert.rejects(sql.execute("SELEKT"), code("42601"));
    assert.deepEqual(await sql.query("SELECT 1 AS n"), [{ n: 1 }]);
  });

  test("a statement can be used again, whatever became of it before", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.t (n integer)`);
    const divide = (by: number, on = sql as SqlQueries) =>
      on.query<{ n: number }>(`SELECT 6 / $1::integer AS n FROM ${schema}.t`, [by]);
    const late = (on = sql as SqlQueries) =>
      on.query<{ n: number }>(`SELECT n FROM ${schema}.late WHERE n > $1`, [0]);
    await sql.query(`INSERT INTO ${schema}.t VALUES ($1)`, [1]);
    await assert.rejects(divide(0), code("22012"));
    assert.deepEqual(await divide(2), [{ n: 3 }]);
    await assert.rejects(sql.transaction((transaction) => divide(0, transaction)), code("22012"));
    assert.deepEqual(await divide(3), [{ n: 2 }]);
    // First met in a transaction that came to nothing, or before there was what it is about.
    await assert.rejects(sql.transaction((transaction) => late(transaction)), code("42P01"));
    await assert.rejects(late(), code("42P01"));
    await sql.execute(`CREATE TABLE ${schema}.late AS SELECT 7 AS n`);
    assert.deepEqual(await late(), [{ n: 7 }]);
    await sql.execute(`ALTER TABLE ${schema}.late ADD COLUMN m text`);
    assert.deepEqual(await late(), [{ n: 7 }]);
    await sql.execute(`DROP TABLE ${schema}.late; CREATE TABLE ${schema}.late AS SELECT 8 AS n`);
    assert.deepEqual(await late(), [{ n: 8 }]);
  });

  test("more statements than are kept prepared", async (sql) => {
    for (const [round, from] of [[1, 0], [2, 980]] as const) {
      for (let n = from; n < 1_020; n++) {
        const [row] = await sql.query<{ n: number }>(`SELECT $1::integer + ${n} AS n`, [round]);
        assert.equal(row?.n, round + n);
      }
    }
  });

  test("a transaction commits what it did when its work resolves", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.t (n integer)`);
    const result = await sql.transaction(async (transaction) => {
      await transaction.query(`INSERT INTO ${schema}.t VALUES (1)`);
      return "done";
    });
    assert.equal(result, "done");
    assert.deepEqual(await sql.query(`SELECT n FROM ${schema}.t`), [{ n: 1 }]);
  });

  test(
    "a transaction whose work throws leaves nothing and rethrows the same error",
    async (sql, schema) => {
      await sql.execute(`CREATE TABLE ${schema}.t (n integer)`);
      const reason = new Error("no");
      await assert.rejects(
        sql.transaction(async (transaction) => {
          await transaction.query(`INSERT INTO ${schema}.t VALUES (1)`);
          throw reason;
        }),
        (error) => error === reason,
      );
      assert.deepEqual(await sql.query(`SELECT n FROM ${schema}.t`), []);
    },
  );

  test(
    "a transaction that swallowed a failed statement rejects instead of committing nothing",
    async (sql, schema) => {
      await sql.execute(`CREATE TABLE ${schema}.t (n integer)`);
      await assert.rejects(
        sql.transaction(async (transaction) => {
          await transaction.query(`INSERT INTO ${schema}.t VALUES (1)`);
          await transaction.query("SELECT 1 / 0").catch(() => {});
        }),
        code("25P02"),
      );
      assert.deepEqual(await sql.query(`SELECT n FROM ${schema}.t`), []);
    },
  );

  test("a savepoint takes back a part of a transaction", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.t (n integer)`);
    await sql.transaction(async (transaction) => {
      await transaction.query(`INSERT INTO ${schema}.t VALUES (1)`);
      await transaction.execute("SAVEPOINT part");
      await transaction.query(`INSERT INTO ${schema}.t VALUES (2)`);
      await transaction.query("SELECT 1 / 0").catch(() => {});
      await transaction.execute("ROLLBACK TO SAVEPOINT part");
      await transaction.query(`INSERT INTO ${schema}.t VALUES (3)`);
    });
    assert.deepEqual(await sql.query(`SELECT n FROM ${schema}.t ORDER BY n`), [{ n: 1 }, { n: 3 }]);
  });

  test("nobody else sees a transaction before it commits", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.t (n integer); INSERT INTO ${schema}.t VALUES (1)`);
    let seen: Promise<unknown> = Promise.resolve();
    await sql.transaction(async (transaction) => {
      await transaction.query(`UPDATE ${schema}.t SET n = 2`);
      // A server answers 1 at once, from its own snapshot; a single session answers 3, after the
      // commit. The 2 in between is seen by none.
      seen = sql.query(`SELECT n FROM ${schema}.t`);
      await transaction.query("SELECT");
      await transaction.query(`UPDATE ${schema}.t SET n = 3`);
    });
    assert.notDeepEqual(await seen, [{ n: 2 }]);
    assert.deepEqual(await sql.query(`SELECT n FROM ${schema}.t`), [{ n: 3 }]);
  });

  test("of racing compare-and-sets exactly one wins", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.t (n bigint); INSERT INTO ${schema}.t VALUES (0)`);
    for (let round = 0; round < 10; round++) {
      const winners = await Promise.all(
        Array.from({ length: 8 }, () =>
          sql.transaction(async (transaction) => {
            const moved = await transaction.query(
              `UPDATE ${schema}.t SET n = n + 1 WHERE n = $1 RETURNING n`,
              [round],
            );
            return moved.length;
          })),
      );
      assert.equal(winners.reduce((sum, won) => sum + won, 0), 1);
    }
  });

  test("copy carries odd text, NULL, arrays and JSON as they are", async (sql, schema) => {
    await sql.execute(
      `CREATE TABLE ${schema}.t (n bigint, word text, ids uuid[], json jsonb, at timestamptz, flag boolean)`,
    );
    const time = "2026-01-02T03:04:05.678Z";
    const rows = odd.map((word, n) => ({
      n,
      word,
      ids: [idOf(n), idOf(n + 1)],
      json: { word },
      at: new Date(time),
      flag: n % 2 === 0,
    }));
    const count = await sql.copy(
      `${schema}.t`,
      ["word", "n", "ids", "json", "at", "flag"],
      rows.map(({ word, n, ids, json, flag }) =>
        [word, n, `{${ids.join(",")}}`, JSON.stringify(json), time, flag] as const
      ),
    );
    assert.equal(count, odd.length);
    assert.equal(await sql.copy(`${schema}.t`, ["n"], [[99]]), 1);
    assert.equal(await sql.copy(`${schema}.t`, ["n"], []), 0);
    assert.deepEqual(await sql.query(`SELECT * FROM ${schema}.t ORDER BY n`), [
      ...rows,
      { n: 99, word: null, ids: null, json: null, at: null, flag: null },
    ]);
  });

  test("copy takes many rows, and takes part in a transaction", async (sql, schema) => {
    await sql.execute(`CREATE TABLE ${schema}.t (n integer, word text)`);
    const rows = Array.from({ length: 20_000 }, (_, n) => [n, `row\t${n}`] as const);
    await assert.rejects(
      sql.transaction(async (transaction) => {
        assert.equal(await transaction.copy(`${schema}.t`, ["n", "word"], rows), 20_000);
        throw new Error("no");
      }),
      /^Error: no$/,
    );
    assert.deepEqual(await sql.query(`SELECT count(*) FROM ${schema}.t`), [{ count: 0 }]);
    await assert.rejects(sql.copy(`${schema}.t`, ["n"], [[1], ["x"]]), code("22P02"));
    assert.deepEqual(await sql.query(`SELECT count(*) FROM ${schema}.t`), [{ count: 0 }]);
  });

  Deno.test(`${name}: a closed database refuses with class 08`, async () => {
    const sql = await open();
    await sql.close();
    await assert.rejects(
      sql.query("SELECT 1"),
      (error) => error instanceof SqlError && error.code.startsWith("08"),
    );
  });
}
