import { LRUCache } from "lru-cache";

/** Answers kept at most. */
const maximumAnswers = 10_000;

/**
 * Remembers what a look-up answered, absence too, for `lifetime` milliseconds and for the keys last
 * asked for. Those who ask at the same time share one look-up; one that fails is not remembered.
 */
export class LookupCache<Answer> {
  readonly #lookup: (key: string) => Promise<Answer>;
  readonly #answers: LRUCache<string, { readonly coming: Promise<Answer>; come?: Answer }>;

  /** `now` counts milliseconds, from anything but 0. */
  constructor(options: {
    lookup(key: string): Promise<Answer>;
    lifetime: number;
    now(): number;
  }) {
    this.#lookup = options.lookup;
    this.#answers = new LRUCache({
      max: maximumAnswers,
      ttl: options.lifetime,
      // Asks the clock each time, where it would otherwise hold a timer.
      ttlResolution: 0,
      perf: { now: options.now },
    });
  }

  get(key: string): Promise<Answer> {
    const known = this.#answers.get(key);
    if (known) return known.coming;
    const asked: { coming: Promise<Answer>; come?: Answer } = { coming: this.#lookup(key) };
    this.#answers.set(key, asked);
    asked.coming.then((answer) => asked.come = answer, () => {
      if (this.#answers.peek(key) === asked) this.#answers.delete(key);
    });
    return asked.coming;
  }

  /** The answer if it is remembered, at once. */
  known(key: string): Answer | undefined {
    return this.#answers.get(key)?.come;
  }

  /** What a look-up under way will answer is not kept either. */
  forget(key: string): void {
    this.#answers.delete(key);
  }
}
