/** Something that runs until it is asked to end. */
export interface Stoppable {
  /** Finishes what is in hand. */
  stop(): Promise<void>;
}

/** What was started, to be stopped in the opposite order. */
export class Started implements Stoppable {
  readonly #parts: Stoppable[] = [];

  add<T extends Stoppable>(part: T): T {
    this.#parts.push(part);
    return part;
  }

  async stop(): Promise<void> {
    for (const part of this.#parts.splice(0).reverse()) await part.stop();
  }
}

/** Runs `start`; what it has started by the time it fails is stopped again. */
export async function starting<T>(start: (started: Started) => Promise<T>): Promise<T> {
  const started = new Started();
  try {
    return await start(started);
  } catch (error) {
    await started.stop();
    throw error;
  }
}
