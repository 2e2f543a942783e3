import assert from "node:assert/strict";
import { newId } from "../../infra/event-log/ids.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { newest } from "../read-model/reads/keyset.ts";
import { beginFanOuts } from "./fan-outs.ts";
import { feedsMigrations } from "./feeds.ts";
import { measureFanOuts } from "./metrics.ts";

async function shown(name: string): Promise<unknown> {
  const [first] = (await metrics.getSingleMetric(name)?.get())?.values ?? [];
  return first?.value;
}

Deno.test("feeds' metrics: fan-outs that are open are counted where they are on record", async () => {
  const sql = await openInMemory();
  await migrate(sql, feedsMigrations, "feeds");
  const stop = measureFanOuts(sql);
  assert.equal(await shown("shutterlog_feeds_fan_outs_open"), 0);
  await beginFanOuts(sql, newId(), [newId(), newId()], newest);
  assert.equal(await shown("shutterlog_feeds_fan_outs_open"), 2);
  await sql.close();
  assert.equal(await shown("shutterlog_feeds_fan_outs_open"), 2, "a database away fails no scrape");
  stop();
});
