import { percentile } from "../demo/concurrency.ts";

/** What was seen over the repetitions. */
export interface Samples {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function samplesOf(values: readonly number[]): Samples {
  return {
    median: percentile(values, 0.5) ?? NaN,
    least: Math.min(...values),
    most: Math.max(...values),
  };
}

/** One line of a bench: ours beside its limit, and beside what others do. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly ours: Samples;
  readonly limit: Samples;
  readonly limitIs: string;
  /** Of ours by limit, in the same repetition. */
  readonly ratio: Samples;
  /** What the design asks of the ratio. */
  readonly aim?: string;
  /** Of the processor time that a request takes in the server's own thread: limit by ours. */
  readonly processorRatio?: Samples;
  pullJoin?: Samples;
}

export function shown({ median, least, most }: Samples): string {
  const digits = most >= 100 ? 0 : 2;
  const [middle, low, high] = [median, least, most].map((value) => value.toFixed(digits));
  return `${middle} (${low} to ${high})`;
}
