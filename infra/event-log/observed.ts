import { Counter, Histogram } from "prom-client";
import { metrics } from "../telemetry/metrics.ts";
import type { Appended, EventLog, NewRecord } from "./port.ts";
import { tracedAppend } from "./tracing.ts";

const appendSeconds = new Histogram({
  name: "shutterlog_log_append_seconds",
  help: "From asking for an append to its being durable, by the topic of the first record.",
  labelNames: ["topic"],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  registers: [metrics],
});

const appendFailures = new Counter({
  name: "shutterlog_log_append_failures_total",
  help: "Appends that were refused or given up.",
  labelNames: ["topic"],
  registers: [metrics],
});

/** A log whose appends are measured and traced. */
export function observed(log: EventLog, system: string): EventLog {
  const append = async (records: readonly NewRecord[]): Promise<Appended[]> => {
    const topic = records[0]?.topic ?? "none";
    const stopTimer = appendSeconds.startTimer({ topic });
    try {
      const places = await tracedAppend(system, records, (carrying) => log.append(carrying));
      stopTimer();
      return places;
    } catch (error) {
      appendFailures.inc({ topic });
      throw error;
    }
  };
  return {
    append,
    ensureTopics: (topics) => log.ensureTopics(topics),
    inspectTopics: (topics) => log.inspectTopics(topics),
    read: (partition, from, options) => log.read(partition, from, options),
    watermarks: (topics) => log.watermarks(topics),
    consume: (options) => log.consume(options),
    close: () => log.close(),
  };
}
