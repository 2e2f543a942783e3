import { Counter, Gauge, Histogram } from "prom-client";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";

/**
 * - `processed`: VariantsReady was appended.
 * - `rejected`: MediaRejected was appended.
 * - `gone`: the original is no longer in the store.
 * - `failed`: an attempt failed and goes to the retry lane.
 * - `dead`: the last attempt failed, or the record could not be read; it is among the dead letters.
 */
const outcomes = ["processed", "rejected", "gone", "failed", "dead"] as const;
export type Outcome = typeof outcomes[number];

export const attempts = new Counter<"outcome">({
  name: "shutterlog_image_attempts_total",
  help: "Attempts at making the variants of an uploaded medium, by outcome.",
  labelNames: ["outcome"],
  registers: [metrics],
});

// From the first scrape on, so that the first dead letter is an increase.
for (const outcome of outcomes) attempts.inc({ outcome }, 0);

export const attemptSeconds = new Histogram({
  name: "shutterlog_image_attempt_seconds",
  help: "Seconds from fetching an original to the append of what became of it.",
  buckets: [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6],
  registers: [metrics],
});

/** What its owner waits for, with the queue before it and the retries. */
export const variantsSeconds = new Histogram({
  name: "shutterlog_image_variants_seconds",
  help: "Seconds from a MediaUploaded's time to the append of its VariantsReady.",
  buckets: [0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 600, 3600],
  registers: [metrics],
});

const inHand = new Set<readonly LogRecord[]>();

new Gauge({
  name: "shutterlog_image_waiting_seconds",
  help: "Age of the oldest upload among those this process has in hand, 0 when it has none.",
  registers: [metrics],
  collect() {
    const oldest = Math.min(...[...inHand].flat().map(({ timestamp }) => timestamp));
    this.set(Number.isFinite(oldest) ? Math.max(0, Date.now() - oldest) / 1000 : 0);
  },
});

/** Uploads wait from their append until the batch they came in is done. */
export async function whileInHand(
  uploads: readonly LogRecord[],
  work: () => Promise<void>,
): Promise<void> {
  inHand.add(uploads);
  try {
    await work();
  } finally {
    inHand.delete(uploads);
  }
}
