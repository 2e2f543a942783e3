import assert from "node:assert/strict";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { whileInHand } from "./metrics.ts";

const waiting = async () =>
  Number(/^shutterlog_image_waiting_seconds (\S+)$/m.exec(await metrics.metrics())?.[1]);

const uploaded = (secondsAgo: number): LogRecord => ({
  topic: "media",
  partition: 0,
  offset: 0,
  key: "key",
  value: "{}",
  headers: {},
  timestamp: Date.now() - secondsAgo * 1000,
});

Deno.test("image worker: what it has in hand waits until it is done, or has failed", async () => {
  assert.equal(await waiting(), 0);
  await whileInHand([uploaded(3), uploaded(20)], async () => {
    assert.equal(Math.round(await waiting()), 20);
    await whileInHand([], async () => assert.equal(Math.round(await waiting()), 20));
  });
  assert.equal(await waiting(), 0);
  await assert.rejects(whileInHand([uploaded(5)], () => Promise.reject(new Error("no store"))));
  assert.equal(await waiting(), 0);
});

Deno.test("image worker: every outcome is there from the start, so that the first is an increase", async () => {
  const shown = await metrics.metrics();
  for (const outcome of ["processed", "rejected", "gone", "failed", "dead"]) {
    assert.match(shown, new RegExp(`shutterlog_image_attempts_total{outcome="${outcome}"} 0\n`));
  }
});
