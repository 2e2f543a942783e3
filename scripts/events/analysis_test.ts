import assert from "node:assert/strict";
import { openAnalysis } from "./analysis.ts";
import { events, filesIn, fillSynthetic, withFolders } from "./testing.ts";

Deno.test("openAnalysis: a question reads the export, and reaches and changes nothing else", async () => {
  await withFolders(3, async (dataDir = "", folder = "", outside = "") => {
    await fillSynthetic(dataDir, { seed: 4, count: 500, days: 1 });
    assert.equal((await events(dataDir, ["export", "--to", folder])).code, 0);
    await Deno.writeTextFile(`${outside}/secret.csv`, "secret\nxyzzy\n");
    const before = await filesIn(folder);
    const analysis = await openAnalysis({ folder });
    try {
      for (
        const [sql, refusal] of [
          [`select * from '${outside}/secret.csv'`, /does not exist|disabled by configuration/],
          [`select * from read_csv('${outside}/secret.csv')`, /disabled by configuration/],
          [
            `select * from read_csv('${folder}/../${outside.split("/").at(-1)}/secret.csv')`,
            /disabled/,
          ],
          [`select * from read_blob('${dataDir}/identity/identity.sqlite')`, /disabled/],
          [`select * from glob('${outside}/*')`, /disabled by configuration/],
          ["select * from read_text('http://127.0.0.1:1/')", /disabled by configuration/],
          [`copy (select 1) to '${outside}/out.csv'`, /only a SELECT|disabled by configuration/],
          [`copy (select 1) to '${folder}/out.csv'`, /only a SELECT is answered/],
          [`attach '${outside}/other.db'`, /only a SELECT|disabled by configuration/],
          ["set enable_external_access = true", /only a SELECT/],
          ["install httpfs", /only a SELECT/],
          ["create table t (a int)", /only a SELECT/],
          ["drop view posts", /only a SELECT/],
          ["select 1; select 2", /one question at a time/],
          ["", /one question at a time/],
          ["select * from nothing", /nothing does not exist/],
        ] as const
      ) {
        await assert.rejects(analysis.ask(sql), refusal, sql);
      }
      const { rows: [limits] } = await analysis.ask(
        "select current_setting('memory_limit'), current_setting('lock_configuration')",
      );
      assert.deepEqual(limits, ["488.2 MiB", true]);
      assert.equal((await analysis.ask("select count(*) from events")).rows[0]?.[0], 500);
    } finally {
      await analysis.close();
    }
    assert.deepEqual(await filesIn(folder), before);
    assert.deepEqual([...(await filesIn(outside)).keys()], ["secret.csv"]);
  });
});

Deno.test("openAnalysis: every view answers, with the columns it says, also of an empty log", async () => {
  await withFolders(2, async (dataDir = "", folder = "") => {
    const { eventsView, readyViews, stateViews } = await import("./views.ts");
    const views = [eventsView, ...stateViews, ...readyViews];
    const check = async (at?: number) => {
      const analysis = await openAnalysis({ folder, ...(at !== undefined && { at }) });
      try {
        let rows = 0;
        for (const { name, columns } of views) {
          const answer = await analysis.ask(`FROM ${name}`);
          assert.deepEqual(answer.columns.join(", "), columns.replaceAll('"', ""), name);
          rows += answer.rows.length;
        }
        return rows;
      } finally {
        await analysis.close();
      }
    };
    assert.equal(await check(), 0);
    await fillSynthetic(dataDir, { seed: 4, count: 1_000, days: 1 });
    await events(dataDir, ["export", "--to", folder]);
    assert.ok(await check() > 1_000);
    assert.equal(await check(Date.parse("2026-08-31T23:59:59Z")), 0, "before the first event");
  });
});
