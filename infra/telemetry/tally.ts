import { Counter, type Registry } from "prom-client";

/**
 * A counter with one label of few values, for paths on which a labelled increment would be felt: what
 * is counted are plain numbers, which are handed over when they are scraped.
 *
 * @example
 * ```ts
 * const reads = new Tally({ name, help, label: "result", values: ["hit", "miss"], metrics });
 * reads.counts.hit++;
 * ```
 */
export class Tally<Value extends string> {
  readonly counts: Record<Value, number>;

  constructor({ name, help, label, values, metrics }: {
    name: string;
    help: string;
    label: string;
    values: readonly Value[];
    metrics: Registry;
  }) {
    const counts = Object.fromEntries(values.map((value) => [value, 0])) as Record<Value, number>;
    this.counts = counts;
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [metrics],
      collect() {
        this.reset();
        for (const value of values) this.inc({ [label]: value }, counts[value]);
      },
    });
  }
}
