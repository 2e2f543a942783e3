import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { dropSchema, migrate, MigrationChanged } from "./migrate.ts";
import { openInMemory } from "./pglite_fixture.ts";
import { SqlError } from "./port.ts";

Deno.test("migrate", async (t) => {
  const path = await Deno.makeTempDir();
  const folder = pathToFileURL(`${path}/`);
  const write = (file: string, text: string) => Deno.writeTextFile(`${path}/${file}`, text);
  const sql = await openInMemory();
  const rows = (schema: string) => sql.query(`SELECT * FROM ${schema}.things ORDER BY n`);
  try {
    await write("000001.sql", "CREATE TABLE shop.things (n integer);");
    await write("000002.sql", "INSERT INTO shop.things VALUES (2); -- not workshop.things");
    await write("notes.sql", "nonsense");

    await t.step("applies numbered files in order, each once", async () => {
      await migrate(sql, folder, "shop");
      await migrate(sql, folder, "shop");
      assert.deepEqual(await rows("shop"), [{ n: 2 }]);
    });

    await t.step("puts the target's name in and keeps its own record of it", async () => {
      await migrate(sql, folder, "shop", "shop_v2");
      await sql.query("DELETE FROM shop_v2.things");
      assert.deepEqual(await rows("shop_v2"), []);
      assert.deepEqual(await rows("shop"), [{ n: 2 }]);
    });

    await t.step("applies what is new, and nothing of it when one file fails", async () => {
      await write("000003.sql", "INSERT INTO shop.things VALUES (3);");
      await write("000004.sql", "INSERT INTO shop.nowhere VALUES (4);");
      await assert.rejects(migrate(sql, folder, "shop"), SqlError);
      assert.deepEqual(await rows("shop"), [{ n: 2 }]);
      await write("000004.sql", "INSERT INTO shop.things VALUES (4);");
      await Promise.all([migrate(sql, folder, "shop"), migrate(sql, folder, "shop")]);
      assert.deepEqual(await rows("shop"), [{ n: 2 }, { n: 3 }, { n: 4 }]);
    });

    await t.step("refuses a file edited after it was applied", async () => {
      await write("000001.sql", "CREATE TABLE shop.things (n bigint);");
      await assert.rejects(migrate(sql, folder, "shop"), MigrationChanged);
    });

    await t.step("dropSchema forgets, so that the schema can be made anew", async () => {
      await dropSchema(sql, "shop");
      await migrate(sql, folder, "shop");
      assert.deepEqual(await rows("shop"), [{ n: 2 }, { n: 3 }, { n: 4 }]);
    });
  } finally {
    await sql.close();
    await Deno.remove(path, { recursive: true });
  }
});
