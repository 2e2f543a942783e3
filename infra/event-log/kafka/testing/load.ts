import assert from "node:assert/strict";
import { newId } from "../../ids.ts";
import { type Appended, type EventLog, LogUnavailable } from "../../port.ts";

/** Callers that append without a break, one record after the other, and remember what they were told. */
export class Load {
  /** By value: where the log said it lies. */
  readonly told = new Map<string, Appended>();
  /** Values whose fate is unknown, since the append was rejected; the next one has another value. */
  readonly unknown = new Set<string>();
  readonly #callers: Promise<void>[];
  #running = true;

  constructor(log: EventLog, topic: string) {
    this.#callers = Array.from(
      { length: 8 },
      (_, caller) => this.#append(log, topic, caller),
    );
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#callers);
  }

  async #append(log: EventLog, topic: string, caller: number): Promise<void> {
    for (let index = 0; this.#running; index++) {
      const value = `${caller}:${index}`;
      const record = {
        topic,
        key: `key-${caller}-${index % 7}`,
        value,
        headers: { ce_id: newId() },
      };
      try {
        const [appended] = await log.append([record]);
        assert.ok(appended);
        this.told.set(value, appended);
      } catch (error) {
        if (!(error instanceof LogUnavailable)) throw error;
        this.unknown.add(value);
      }
    }
  }

  /**
   * Everything acknowledged lies where it was said to, once; what one caller appended under one key is in
   * its order; offsets have no gap.
   */
  async assertKept(log: EventLog, topic: string): Promise<void> {
    const counts = new Map<string, number>();
    const latest = new Map<string, number>();
    for (const { partition, low, high } of await log.watermarks([topic])) {
      assert.equal(low, 0);
      let expected = 0;
      for await (const records of log.read({ topic, partition }, 0)) {
        for (const { offset, key, value } of records) {
          assert.equal(offset, expected++, `partition ${partition} has a gap`);
          counts.set(value, (counts.get(value) ?? 0) + 1);
          const index = Number(value.split(":")[1]);
          assert.ok(index > (latest.get(key) ?? -1), `${value} under ${key} came out of order`);
          latest.set(key, index);
          const told = this.told.get(value);
          if (told) assert.deepEqual(told, { topic, partition, offset });
        }
      }
      assert.equal(expected, high);
    }
    const lost = [...this.told.keys()].filter((value) => counts.get(value) !== 1);
    assert.deepEqual(lost, [], "acknowledged and not there exactly once");
    for (const value of counts.keys()) {
      assert.ok(this.told.has(value) || this.unknown.has(value), `${value} was never appended`);
    }
  }
}
