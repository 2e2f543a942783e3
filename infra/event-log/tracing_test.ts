import assert from "node:assert/strict";
import { OtlpReceiver } from "../telemetry/testing/otlp-receiver.ts";
import { isSampled, traceFields, traceparent, tracing } from "../telemetry/tracing.ts";
import type { LogRecord } from "./port.ts";
import { carriedOn, tracedAppend } from "./tracing.ts";

/** What a scenario of tracing_test_process.ts told, and the spans that it sent. */
async function traced(scenario: string) {
  await using receiver = new OtlpReceiver();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", import.meta.resolve("./tracing_test_process.ts"), scenario],
    env: receiver.env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return {
    told: JSON.parse(new TextDecoder().decode(stdout)),
    spans: receiver.spans,
    sent: receiver.sent,
  };
}

const traceOf = (traceparent: string) => traceparent.split("-")[1];

Deno.test("tracedBatch: of each record whose trace is kept one span, in that trace; none of history", async () => {
  const { spans } = await traced("batch");
  assert.deepEqual(
    spans.map(({ name, attributes }) => [name, attributes["messaging.message.id"]]),
    [["process posts", "id-0"], ["process posts", "id-3"]],
  );
  assert.deepEqual(spans.map(({ traceId, parentSpanId }) => `${traceId} ${parentSpanId}`), [
    "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7",
    "4bf92f3577b34da6a3ce929d0e0e4738 00f067aa0ba902b7",
  ]);
  assert.equal(spans[0]?.attributes["messaging.consumer.group.name"], "group");
  assert.equal(spans[0]?.attributes["messaging.batch.message_count"], 5);
  assert.equal(spans[0]?.attributes["shutterlog.event.type"], "PostCreated");
});

Deno.test("tracedBatch: a batch that fails is a failure in each trace, without its words", async () => {
  const { spans: [span], sent } = await traced("failing");
  assert.equal(span?.status, 2);
  assert.equal(span?.attributes["error.type"], "TypeError");
  assert.ok(!sent.includes("Ada said"));
});

Deno.test("tracedAppend: records join the work they are appended in, but keep a trace they carry", async () => {
  const { told: { request, appended: [records] }, spans } = await traced("append");
  const headers = records.map((record: LogRecord) => record.headers.ce_traceparent);
  assert.deepEqual(headers.map(traceOf), [
    traceOf(request),
    traceOf(request),
    "4bf92f3577b34da6a3ce929d0e0e4736",
  ]);
  const named = (name: string) => spans.filter((span) => span.name === name);
  assert.equal(named("append posts").length, 2, "one in each trace");
  const [media] = named("append media");
  assert.equal(media && `00-${media.traceId}-${media.spanId}-01`, headers[1]);
  assert.equal(media?.parentSpanId, request.split("-")[2]);
  assert.equal(media?.attributes["messaging.destination.partition.id"], "1");
  assert.equal(media?.attributes["messaging.kafka.offset"], 9);
});

Deno.test("tracedRecord: what runs within is of the record's trace", async () => {
  const { told, spans: [span] } = await traced("record");
  assert.equal(told.traceparent, `00-${span?.traceId}-${span?.spanId}-01`);
  assert.equal(told.carried, null, "what it appends joins the span instead");
});

Deno.test("tracing: a process that does not trace makes nothing, and passes on what records carry", async () => {
  assert.equal(tracing, false);
  assert.equal(traceparent(), undefined);
  assert.equal(traceFields(), undefined);
  const record: LogRecord = {
    topic: "media",
    partition: 0,
    offset: 0,
    key: "key",
    value: "{}",
    timestamp: Date.now(),
    headers: { ce_traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
  };
  assert.equal(carriedOn(record), record.headers.ce_traceparent);
  const records = [{ topic: "media", key: "key", value: "{}", headers: {} }];
  await tracedAppend("kafka", records, (given) => {
    assert.equal(given, records, "the very same");
    return Promise.resolve([]);
  });
});

Deno.test("isSampled: of W3C trace contexts of any version, and of nothing else", () => {
  const ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
  assert.equal(isSampled(`00-${ids}-01`), true);
  assert.equal(isSampled(`00-${ids}-03`), true);
  assert.equal(isSampled(`cc-${ids}-01-more`), true);
  assert.equal(isSampled(`00-${ids}-00`), false);
  assert.equal(isSampled(`ff-${ids}-01`), false);
  assert.equal(isSampled(`00-${"0".repeat(32)}-00f067aa0ba902b7-01`), false);
  assert.equal(isSampled("'; DROP TABLE spans; --"), false);
});
