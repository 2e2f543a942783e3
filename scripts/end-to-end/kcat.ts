import assert from "node:assert/strict";
import { topics } from "../../domain/event.ts";
import { find, run } from "../stack/process.ts";

/** One record as `kcat -J` prints it. */
interface Printed {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly payload: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * Every record of the log, read by a tool that knows nothing of us, is a CloudEvent 1.0 in the binary
 * mode of the Kafka binding: attributes in `ce_` headers, `content-type`, the data as JSON.
 * @returns how many there are of each type
 */
export async function cloudEventsByKcat(brokers: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const topic of topics) {
    const printed = await run([
      await find("kcat"),
      ...["-C", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q", "-J"],
    ]);
    for (const line of printed.split("\n").filter(Boolean)) {
      const { key, payload, headers: flat } = JSON.parse(line) as Printed;
      const headers: Record<string, string | undefined> = Object.fromEntries(
        flat.flatMap((name, at) => at % 2 === 0 ? [[name, flat[at + 1]]] : []),
      );
      assert.equal(headers.ce_specversion, "1.0");
      assert.match(headers.ce_id ?? "", uuid);
      assert.match(headers.ce_time ?? "", time);
      assert.equal(headers.ce_source, "/shutterlog");
      assert.equal(headers.ce_subject, key);
      assert.match(headers["content-type"] ?? "", /^application\/json/);
      assert.equal(typeof JSON.parse(payload), "object");
      const type = headers.ce_type ?? "";
      counts[type] = (counts[type] ?? 0) + 1;
    }
  }
  return counts;
}
