import assert from "node:assert/strict";
import { newId } from "../../infra/event-log/ids.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import { openPglite } from "../../infra/sql/pglite.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { newest } from "../read-model/reads/keyset.ts";
import { beginFanOuts } from "./fan-outs.ts";
import { feedsMigrations } from "./feeds.ts";
import { fannedOut, measureFanOuts } from "./metrics.ts";

async function shown(name: string): Promise<unknown> {
  const [first] = (await metrics.getSingleMetric(name)?.get())?.values ?? [];
  return first?.value;
}

Deno.test("feeds' metrics: fan-outs that are open are counted where they are on record", async () => {
  const sql = await openPglite();
  await migrate(sql, feedsMigrations, "feeds");
  const stop = measureFanOuts(sql);
  assert.equal(await shown("shutterlog_feeds_fan_outs_open"), 0);
  await beginFanOuts(sql, newId(), [newId(), newId()], newest);
  assert.equal(await shown("shutterlog_feeds_fan_outs_open"), 2);
  await sql.close();
  assert.equal(await shown("shutterlog_feeds_fan_outs_open"), 2, "a database away fails no scrape");
  stop();
});

Deno.test("feeds' metrics: a post's id tells since when it is one", async () => {
  const name = "shutterlog_feeds_fan_out_seconds";
  metrics.getSingleMetric(name)?.reset();
  fannedOut("0193aef0-1c00-7000-8000-000000000001", 0x0193aef01c00 + 1_500);
  const { values = [] } = await metrics.getSingleMetric(name)?.get() ?? {};
  assert.equal(
    values.find((one) => String(Reflect.get(one, "metricName")).endsWith("_sum"))?.value,
    1.5,
  );
});
