import assert from "node:assert/strict";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { ensureProjection } from "./control.ts";
import { fileEffect, openSealer, WrittenLog } from "./harness.ts";
import { define } from "./projection.ts";
import { switchLive, TooFarBehind } from "./switch.ts";

Deno.test("switchLive: an effect's version that lacks what the live one has passed does not serve", async () => {
  const sql = await openInMemory();
  try {
    const effect = fileEffect("/dev/null");
    const definition = define(effect);
    const log = new WrittenLog([], 2);
    await ensureProjection(sql, log, effect);
    await ensureProjection(sql, log, { ...effect, version: 2 });
    const pass = (version: number, next: number) =>
      sql.query("UPDATE projections.checkpoints SET next_offset = $2 WHERE version = $1", [
        version,
        next,
      ]);
    const live = async () => await sql.query("SELECT version FROM projections.live");
    const change = () =>
      switchLive({ log, sql, sealer: openSealer }, definition, 1, 2, {
        strict: true,
        differences: [],
      });
    await pass(1, 5);
    await pass(2, 4);
    await assert.rejects(change(), TooFarBehind);
    assert.deepEqual(await live(), [{ version: 1 }]);
    await pass(2, 6);
    await change();
    assert.deepEqual(await live(), [{ version: 2 }]);
  } finally {
    await sql.close();
  }
});
