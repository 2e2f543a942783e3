import { setImmediate } from "node:timers";

/** A process of the product. One that is killed stops where it is and says nothing more. */
export class Process {
  killed = false;
}

/**
 * Holds every call of some processes back until it is picked, so that what they do falls together in
 * any order a test draws. Each call is done as one, as a database or a cache does it.
 */
export class Interleaver {
  readonly #waiting: (() => Promise<void>)[] = [];

  /** The same object, its methods held back. */
  holding<T extends object>(target: T, process: Process): T {
    const hold = (call: () => unknown) => this.#hold(process, call);
    return new Proxy(target, {
      get(object, name) {
        const value: unknown = Reflect.get(object, name);
        if (typeof value !== "function") return value;
        return (...parameters: unknown[]) => hold(() => value.apply(object, parameters));
      },
    });
  }

  /** Lets calls go, as picked of those that wait, until there are no more of either. */
  async letGo(picks: readonly number[]): Promise<void> {
    for (const pick of picks) {
      await settled();
      if (this.#waiting.length === 0) return;
      const [next] = this.#waiting.splice(pick % this.#waiting.length, 1);
      await next?.();
    }
    await settled();
  }

  /** Lets all go that wait and that come, in their order. */
  async letAllGo(): Promise<void> {
    for (;;) {
      await settled();
      const next = this.#waiting.shift();
      if (!next) return;
      await next();
    }
  }

  #hold(process: Process, call: () => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(async () => {
        if (process.killed) return;
        try {
          resolve(await call());
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

/** Resolves once everybody has come as far as they can by themselves. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
