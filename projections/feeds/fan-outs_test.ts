import assert from "node:assert/strict";
import { newId } from "../../infra/event-log/ids.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { newest } from "../read-model/reads/keyset.ts";
import { beginFanOuts, endFanOut, type FanOut, moveFanOut, takeFanOut } from "./fan-outs.ts";
import { feedsMigrations } from "./feeds.ts";

const sql = await openInMemory();
await migrate(sql, feedsMigrations, "feeds");

async function taken(): Promise<FanOut> {
  const fanOut = await takeFanOut(sql);
  assert.ok(fanOut, "there is one to take");
  return fanOut;
}

/** What a process is taken for that has been away for ten seconds. */
async function lapse(): Promise<void> {
  await sql.query(
    "UPDATE feeds.fan_outs SET taken_until = clock_timestamp() - interval '1 second'",
  );
}

async function onRecord(): Promise<{ fan_out_id: string; before: string }[]> {
  return await sql.query("SELECT fan_out_id, before FROM feeds.fan_outs");
}

async function begun(): Promise<{ post: string; author: string; zombie: FanOut }> {
  await sql.query("DELETE FROM feeds.fan_outs");
  const [post, author] = [newId(), newId()];
  await beginFanOuts(sql, author, [post], newest);
  const zombie = await taken();
  assert.equal(await takeFanOut(sql), undefined, "nobody else takes it");
  await lapse();
  return { post, author, zombie };
}

Deno.test("fan-outs: a zombie ends nothing that was ended and began anew", async () => {
  const { post, author, zombie } = await begun();
  await endFanOut(sql, await taken());
  assert.deepEqual(await onRecord(), []);
  // As when a dead letter is redriven: with the same id, from the same cursor.
  await beginFanOuts(sql, author, [post], newest);
  await endFanOut(sql, zombie);
  await moveFanOut(sql, zombie, newId());
  assert.deepEqual(await onRecord(), [{ fan_out_id: post, before: newest }]);
});

Deno.test("fan-outs: a zombie undoes no slice, and ends none that others are at", async () => {
  const { post, zombie } = await begun();
  const [further, furthest] = [newId(), newId()];
  await moveFanOut(sql, await taken(), further);
  const living = await taken();
  await moveFanOut(sql, zombie, furthest);
  await endFanOut(sql, zombie);
  assert.deepEqual(await onRecord(), [{ fan_out_id: post, before: further }]);
  await endFanOut(sql, living);
  assert.deepEqual(await onRecord(), []);
});

Deno.test("fan-outs: one on record that is begun again goes back, and is nobody's", async () => {
  const { post, author } = await begun();
  const [lower, higher] = [newId(), newId()];
  await moveFanOut(sql, await taken(), lower);
  const behind = await taken();
  await beginFanOuts(sql, author, [post], higher);
  await endFanOut(sql, behind);
  assert.deepEqual(await onRecord(), [{ fan_out_id: post, before: higher }]);
  await beginFanOuts(sql, author, [post], lower);
  assert.equal((await taken()).before, higher, "and never forward");
});
