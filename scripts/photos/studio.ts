import type { Photo, PhotoOptions } from "./photo.ts";

/** Draws photographs on threads of their own, so that the caller's is free for other things. */
export class PhotoStudio {
  readonly #idle: Worker[];
  readonly #all: readonly Worker[];
  readonly #waiting: ((worker: Worker) => void)[] = [];

  constructor(threads: number) {
    const script = new URL("./worker.ts", import.meta.url);
    this.#all = Array.from({ length: threads }, () => new Worker(script, { type: "module" }));
    this.#idle = [...this.#all];
  }

  /** As `drawPhoto`; waits its turn. */
  async draw(options: PhotoOptions): Promise<Photo> {
    const worker = this.#idle.pop() ??
      await new Promise<Worker>((give) => this.#waiting.push(give));
    try {
      return await new Promise<Photo>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<Photo>) => resolve(data);
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(`drawing failed: ${event.message}`));
        };
        worker.postMessage(options);
      });
    } finally {
      const next = this.#waiting.shift();
      if (next) next(worker);
      else this.#idle.push(worker);
    }
  }

  /** Drawings in hand are given up. */
  close(): void {
    for (const worker of this.#all) worker.terminate();
  }
}
