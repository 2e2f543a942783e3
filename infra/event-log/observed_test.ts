import assert from "node:assert/strict";
import { metrics } from "../telemetry/metrics.ts";
import { observed } from "./observed.ts";
import { type EventLog, LogUnavailable, type NewRecord } from "./port.ts";
import { openSqliteLog } from "./sqlite.ts";

const record = (topic: string): NewRecord => ({ topic, key: "key", value: "{}", headers: {} });

async function shown(name: string, topic: string): Promise<number> {
  const line = new RegExp(`^shutterlog_log_${name}\\{topic="${topic}"\\} (\\S+)$`, "m");
  return Number(line.exec(await metrics.metrics())?.[1] ?? 0);
}

async function withLog(work: (log: EventLog) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const log = observed(await openSqliteLog({ path: `${folder}/log.sqlite` }), "sqlite");
  try {
    await work(log);
  } finally {
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("observed: a log is what it was, and its appends are measured by topic", async () => {
  await withLog(async (log) => {
    await log.ensureTopics([{ name: "observed", partitions: 1 }]);
    const [place] = await log.append([record("observed"), record("observed")]);
    assert.deepEqual(place, { topic: "observed", partition: 0, offset: 0 });
    assert.equal((await log.watermarks(["observed"]))[0]?.high, 2);
    const [read] = await Array.fromAsync(log.read({ topic: "observed", partition: 0 }, 1));
    assert.deepEqual(read?.map(({ offset, headers }) => ({ offset, headers })), [
      { offset: 1, headers: {} },
    ]);
    assert.equal(await shown("append_seconds_count", "observed"), 1, "one call");
    assert.equal(await shown("append_failures_total", "observed"), 0);
  });
});

Deno.test("observed: an append that fails is told of, and counted apart", async () => {
  const away = { append: () => Promise.reject(new LogUnavailable("no broker")) };
  const log = observed(away as unknown as EventLog, "kafka");
  await assert.rejects(log.append([record("away")]), LogUnavailable);
  assert.equal(await shown("append_failures_total", "away"), 1);
  assert.equal(await shown("append_seconds_count", "away"), 0);
});
