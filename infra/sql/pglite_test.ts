import assert from "node:assert/strict";
import { sqlContract } from "./contract.ts";
import { FolderInUse, FolderUnreadable, openPglite } from "./pglite.ts";
import { makePgliteImage } from "./pglite/image.ts";
import { openInMemory } from "./pglite_fixture.ts";
import type { Sql } from "./port.ts";

sqlContract("pglite", openInMemory);

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts a module in a process of its own, and yields its lines of standard output. */
function child(source: string) {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--ext=ts", source],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream());
  return { process, lines };
}

const module = JSON.stringify(import.meta.resolve("./pglite.ts"));

Deno.test("openPglite: what begins as an image is what initdb makes, in memory and in a folder, and its own", () =>
  inFolder(async (folder) => {
    const image = `${folder}/image`;
    await makePgliteImage(image);
    const made = await openPglite();
    const others = [await openPglite({ image }), await openPglite({ image, folder })];
    try {
      const settings = (sql: Sql) =>
        sql.query(
          `SELECT name, setting FROM pg_settings
           WHERE name NOT IN ('data_directory', 'config_file', 'hba_file', 'ident_file') ORDER BY name`,
        );
      const catalogue = (sql: Sql) =>
        sql.query("SELECT oid::int, relname, relkind FROM pg_class ORDER BY oid");
      for (const one of others) {
        assert.deepEqual(await settings(one), await settings(made));
        assert.deepEqual(await catalogue(one), await catalogue(made));
        // None of them sees another's.
        await one.execute("CREATE TABLE own (n integer)");
      }
    } finally {
      for (const one of [made, ...others]) await one.close();
    }
    const again = await openPglite({ folder });
    try {
      assert.deepEqual(await again.query("SELECT * FROM own"), []);
    } finally {
      await again.close();
    }
  }));

Deno.test("openPglite: what was committed before a kill -9 in the middle of writing is there afterwards", () =>
  inFolder(async (folder) => {
    const writer = child(`
      import { openPglite } from ${module};
      const sql = await openPglite({ folder: ${JSON.stringify(folder)} });
      await sql.execute("CREATE TABLE t (n integer PRIMARY KEY, filler text)");
      for (let n = 1;; n++) {
        await sql.transaction(async (transaction) => {
          await transaction.query("INSERT INTO t VALUES ($1, repeat('x', 2000))", [n]);
          await transaction.query("INSERT INTO t VALUES ($1, repeat('y', 2000))", [-n]);
        });
        console.log(n);
      }
    `);
    let output = "";
    for await (const text of writer.lines) {
      output += text;
      if (output.split("\n").length > 200) break;
    }
    writer.process.kill("SIGKILL");
    await writer.process.status;
    const acknowledged = output.split("\n").length - 1;
    const sql = await openPglite({ folder });
    try {
      const [row] = await sql.query<{ most: number; least: number; count: number }>(
        "SELECT max(n) AS most, min(n) AS least, count(*) FROM t",
      );
      assert.ok(row && row.most >= acknowledged, `${row?.most} of ${acknowledged}`);
      assert.equal(row.least, -row.most, "a transaction by halves");
      assert.equal(row.count, 2 * row.most, "a gap");
    } finally {
      await sql.close();
    }
  }));

Deno.test("openPglite: one process at a time; the lock dies with its holder", () =>
  inFolder(async (folder) => {
    const holder = child(`
      import { openPglite } from ${module};
      await openPglite({ folder: ${JSON.stringify(folder)} });
      console.log("open");
      setInterval(() => {}, 1000);
    `);
    for await (const text of holder.lines) if (text.includes("open")) break;
    await assert.rejects(openPglite({ folder }), FolderInUse);
    holder.process.kill("SIGKILL");
    await holder.process.status;
    const sql = await openPglite({ folder });
    await assert.rejects(openPglite({ folder }), FolderInUse, "in the same process too");
    await sql.close();
  }));

Deno.test("openPglite: a damaged folder is told apart, and is free to be moved aside", () =>
  inFolder(async (folder) => {
    const data = `${folder}/data`;
    await Deno.mkdir(`${data}/cluster/global`, { recursive: true });
    await Deno.writeTextFile(`${data}/cluster/PG_VERSION`, "18\n");
    await assert.rejects(openPglite({ folder: data }), FolderUnreadable);
    await Deno.rename(data, `${folder}/aside`);
    await (await openPglite({ folder: data })).close();
  }));
