import { inSpan, traceparent } from "../telemetry/tracing.ts";
import type { LogRecord, NewRecord } from "./port.ts";
import { carriedOn, tracedAppend, tracedBatch, tracedRecord } from "./tracing.ts";

/** What tracing_test.ts looks at, in a process that traces: `deno run … <scenario>`. */

const kept = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const dropped = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00";
const other = "00-4bf92f3577b34da6a3ce929d0e0e4738-00f067aa0ba902b7-01";

function record(offset: number, traceparent?: string, age = 0): LogRecord {
  return {
    topic: "posts",
    partition: 3,
    offset,
    key: "key",
    value: "{}",
    timestamp: Date.now() - age,
    headers: {
      ce_id: `id-${offset}`,
      ce_type: "shutterlog.PostCreated.v1",
      ...(traceparent !== undefined && { ce_traceparent: traceparent }),
    },
  };
}

function fresh(topic: string, traceparent?: string): NewRecord {
  const { key, value, headers } = record(0, traceparent);
  return { topic, key, value, headers };
}

const twoHours = 2 * 60 * 60 * 1000;
const scenarios: Record<string, () => Promise<unknown>> = {
  async batch() {
    const records = [
      record(0, kept),
      record(1, dropped),
      record(2),
      record(3, other),
      record(4, other, twoHours),
    ];
    await tracedBatch("group", records, () => Promise.resolve());
  },
  async failing() {
    await tracedBatch("group", [record(0, kept)], () => Promise.reject(new TypeError("Ada said")))
      .catch(() => {});
  },
  async append() {
    const appended: NewRecord[][] = [];
    const append = (records: readonly NewRecord[]) => {
      appended.push([...records]);
      return Promise.resolve(records.map(({ topic }) => ({ topic, partition: 1, offset: 9 })));
    };
    let request = "";
    await inSpan({ name: "request", kind: "internal", attributes: {} }, async () => {
      request = traceparent() ?? "";
      await tracedAppend("kafka", [fresh("posts"), fresh("media"), fresh("posts", kept)], append);
    });
    return { request, appended };
  },
  async record() {
    let within: unknown;
    await tracedRecord("group", record(0, kept), () => {
      within = { traceparent: traceparent(), carried: carriedOn(record(0, kept)) ?? null };
      return Promise.resolve();
    });
    return within;
  },
};

const [name = ""] = Deno.args;
console.log(JSON.stringify(await scenarios[name]?.() ?? null));
