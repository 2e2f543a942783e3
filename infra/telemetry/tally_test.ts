import assert from "node:assert/strict";
import { Registry } from "prom-client";
import { Tally } from "./tally.ts";

Deno.test("Tally: shows what was counted so far, from 0 on, however often it is scraped", async () => {
  const metrics = new Registry();
  const name = "reads_total";
  const values = ["hit", "miss"] as const;
  const { counts } = new Tally({ name, help: "Reads.", label: "result", values, metrics });
  const shown = async () =>
    (await metrics.metrics()).split("\n").filter((line) => line.startsWith(name));
  assert.deepEqual(await shown(), ['reads_total{result="hit"} 0', 'reads_total{result="miss"} 0']);
  counts.hit += 3;
  counts.miss++;
  for (let scrape = 0; scrape < 2; scrape++) {
    assert.deepEqual(await shown(), [
      'reads_total{result="hit"} 3',
      'reads_total{result="miss"} 1',
    ]);
  }
});
