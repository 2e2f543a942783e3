import { Counter, Histogram } from "prom-client";
import { metrics } from "../../infra/telemetry/metrics.ts";

/**
 * - `processed`: VariantsReady was appended.
 * - `rejected`: MediaRejected was appended.
 * - `gone`: the original is no longer in the store.
 * - `failed`: an attempt failed and goes to the retry lane.
 * - `dead`: the last attempt failed, or the record could not be read; it is among the dead letters.
 */
export type Outcome = "processed" | "rejected" | "gone" | "failed" | "dead";

export const attempts = new Counter<"outcome">({
  name: "shutterlog_image_attempts_total",
  help: "Attempts at making the variants of an uploaded medium, by outcome.",
  labelNames: ["outcome"],
  registers: [metrics],
});

export const attemptSeconds = new Histogram({
  name: "shutterlog_image_attempt_seconds",
  help: "Seconds from fetching an original to the append of what became of it.",
  buckets: [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6],
  registers: [metrics],
});
