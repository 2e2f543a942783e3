import assert from "node:assert/strict";
import fc from "fast-check";
import type { CardCache, Taken } from "./port.ts";

export interface Subject {
  /** One process's, and another's on the same engine; the same one where there is one process. */
  readonly cache: CardCache;
  readonly other: CardCache;
  /** All claims are as old as they may become. */
  lapseClaims(): Promise<void>;
  /** The engine forgets everything by itself, as it does when memory is short. */
  forget(): Promise<void>;
  close(): Promise<void>;
}

/** What every card cache must do. */
export function cardCacheContract(name: string, open: () => Promise<Subject>): void {
  const test = (claim: string, body: (subject: Subject) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      const subject = await open();
      try {
        await body(subject);
      } finally {
        await subject.close();
      }
    });

  test("what is filled is had by everyone, text and all", async ({ cache, other }) => {
    const keys = [newKey(), newKey(), newKey()] as const;
    const texts = ['{"caption":"Zoë 🌄 \\u0000\\n"}', "null", "x".repeat(100_000)] as const;
    const taken = await cache.take(keys);
    await cache.fill(taken.map((one, nth) => ({ claim: claimOf(one), text: texts[nth] ?? "" })));
    for (const one of [cache, other]) {
      assert.deepEqual(textsOf(await one.take(keys.toReversed())), texts.toReversed());
    }
    assert.deepEqual(await cache.take([]), []);
  });

  test("of those who miss a key at the same time, one may fill it", async ({ cache, other }) => {
    const key = newKey();
    const taken = await Promise.all(
      Array.from({ length: 8 }, (_, nth) => (nth % 2 ? cache : other).take([key])),
    );
    const claims = taken.flat().flatMap((one) => one && "claim" in one ? [one.claim] : []);
    assert.equal(claims.length, 1);
    assert.equal(taken.flat().filter((one) => one === undefined).length, 7);
  });

  test("an eviction between claim and filling undoes the filling", async ({ cache, other }) => {
    const key = newKey();
    const [early] = await cache.take([key]);
    await other.evict([key]);
    await cache.fill([{ claim: claimOf(early), text: "old" }]);
    const [late] = await other.take([key]);
    await cache.fill([{ claim: claimOf(early), text: "old" }]);
    await other.fill([{ claim: claimOf(late), text: "new" }]);
    assert.deepEqual(textsOf(await cache.take([key])), ["new"]);
  });

  test("what is evicted is gone for everyone, once or twice", async ({ cache, other }) => {
    const key = newKey();
    for (const times of [1, 2]) {
      const [taken] = await cache.take([key]);
      await cache.fill([{ claim: claimOf(taken), text: "text" }]);
      for (let n = 0; n < times; n++) await other.evict([key, newKey()]);
      for (const one of [other, cache]) assert.deepEqual(textsOf(await one.take([key])), [null]);
      await cache.evict([key]);
    }
  });

  test("a claim that is not filled lapses, and fills nothing then", async (subject) => {
    const { cache, other } = subject;
    const key = newKey();
    const [late] = await cache.take([key]);
    await subject.lapseClaims();
    await cache.fill([{ claim: claimOf(late), text: "late" }]);
    const [taken] = await other.take([key]);
    await cache.fill([{ claim: claimOf(late), text: "late" }]);
    await other.fill([{ claim: claimOf(taken), text: "text" }]);
    assert.deepEqual(textsOf(await cache.take([key])), ["text"]);
  });

  test("what the engine forgets is missing, and a claim on it fills nothing", async (subject) => {
    const { cache } = subject;
    const [kept, claimed] = [newKey(), newKey()] as const;
    const [one, two] = await cache.take([kept, claimed]);
    await cache.fill([{ claim: claimOf(one), text: "text" }]);
    await subject.forget();
    await cache.fill([{ claim: claimOf(two), text: "late" }]);
    const again = await cache.take([kept, claimed]);
    for (const taken of again) claimOf(taken);
  });

  test("listeners hear every eviction that is done before they have caught up", async (subject) => {
    const heard = new Set<string>();
    const keys = Array.from({ length: 2_500 }, newKey);
    const listening = subject.cache.listen({
      evicted: (keys) => keys.forEach((key) => heard.add(key)),
      lost: () => heard.clear(),
    });
    await until(() => listening.live);
    await subject.other.evict(keys);
    await listening.caughtUp();
    assert.equal(heard.size, keys.length);
    await listening.stop();
    heard.clear();
    await subject.other.evict([newKey()]);
    assert.equal(heard.size, 0, "nothing after the stop");
  });

  test("never is a text had that is older than the last eviction before", async (subject) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const run = new Run(subject);
        for (const together of steps) await Promise.all(together.map((one) => run.take(one)));
      }),
      { numRuns: 60 },
    );
  });
}

const step = fc.array(
  fc.constantFrom("change", "evict", "load", "fill", "read", "lapse", "forget"),
  { minLength: 1, maxLength: 3 },
);

/** A database that holds one number, and those who keep it. */
class Run {
  readonly #key = newKey();
  readonly #loads: { taken: Taken; version: number; by: CardCache }[] = [];
  #version = 0;
  #evicted = 0;

  constructor(readonly subject: Subject) {}

  async take(step: string): Promise<void> {
    const { cache, other } = this.subject;
    const by = this.#version % 2 ? cache : other;
    switch (step) {
      case "change":
        this.#version += 1;
        return;
      case "evict": {
        const version = this.#version;
        await by.evict([this.#key]);
        this.#evicted = Math.max(this.#evicted, version);
        return;
      }
      case "load": {
        const [taken] = await by.take([this.#key]);
        this.#loads.push({ taken, version: this.#version, by });
        return;
      }
      case "fill": {
        const load = this.#loads.shift();
        if (!load?.taken || !("claim" in load.taken)) return;
        return await load.by.fill([{ claim: load.taken.claim, text: String(load.version) }]);
      }
      case "read": {
        const least = this.#evicted;
        const [taken] = await by.take([this.#key]);
        if (!taken || !("text" in taken)) return;
        assert.ok(Number(taken.text) >= least, `${taken.text} is older than ${least}`);
        return;
      }
      case "lapse":
        return await this.subject.lapseClaims();
      case "forget":
        return await this.subject.forget();
    }
  }
}

function claimOf(taken: Taken) {
  assert.ok(taken && "claim" in taken, `${JSON.stringify(taken)} is no claim`);
  return taken.claim;
}

function textsOf(taken: readonly Taken[]): (string | null)[] {
  return taken.map((one) => one && "text" in one ? one.text : null);
}

export function newKey(): string {
  return `post:${crypto.randomUUID()}`;
}

/** Resolves once it is so. @throws after ten seconds. */
export async function until(is: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!is()) {
    assert.ok(performance.now() < deadline, "not within ten seconds");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
