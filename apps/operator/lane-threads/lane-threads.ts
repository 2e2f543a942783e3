import type { Lane, LaneThread, OpenLaneThread } from "../../../projections/runner/lane.ts";
import { errorOf, type Opening, type Reply, type Request } from "./messages.ts";

/**
 * Threads beside the operator's own: an event costs JavaScript more than PostgreSQL, so half of the
 * cores are not enough for the one and too many for the other. On two cores it is one.
 */
const threadCount = Math.max(1, Math.floor(navigator.hardwareConcurrency / 2));
/**
 * Records below which a thread costs more than it gives: to be started, to load what it runs and to
 * have it compiled takes a second of a core.
 */
const worthAThread = 250_000;
/** Of a thread: while the database works for one, the other decodes. */
const lanesPerThread = 2;

/**
 * Lanes in threads of their own, on the networked engines. What a thread is given it has by message;
 * it reads no environment.
 */
export function laneThreads(config: Opening["config"]): OpenLaneThread {
  const { KAFKA_BROKERS, POSTGRES_URL, CDN_BASE_URL } = config;
  return ({ name, version }, options, records): LaneThread | undefined => {
    if (records < worthAThread) return undefined;
    const opening: Opening = {
      ...options,
      config: { KAFKA_BROKERS, POSTGRES_URL, CDN_BASE_URL },
      projection: { name, version },
    };
    const threads = Array.from({ length: threadCount }, () => new Thread(opening));
    return {
      lanes: Promise.all(threads.map(({ lanes }) => lanes)).then((lanes) => lanes.flat()),
      async close() {
        await Promise.all(threads.map((thread) => thread.close()));
      },
    };
  };
}

interface Call {
  readonly settled: PromiseWithResolvers<void>;
  readonly onPassed?: (records: number) => void;
}

type Asked<R> = R extends Request ? Omit<R, "call"> : never;

class Thread {
  readonly lanes: Promise<readonly Lane[]>;
  readonly #worker = new Worker(new URL("./thread.ts", import.meta.url), { type: "module" });
  readonly #calls = new Map<number, Call>();
  #count = 0;
  #state: "opening" | "open" | "ended" = "opening";
  #closed = false;

  constructor(opening: Opening) {
    this.#worker.onmessage = ({ data: reply }: MessageEvent<Reply>) => {
      const call = this.#calls.get(reply.call);
      if ("passed" in reply) return call?.onPassed?.(reply.passed);
      this.#calls.delete(reply.call);
      if ("failure" in reply) call?.settled.reject(errorOf(reply.failure));
      else call?.settled.resolve();
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`a thread that fills has died: ${event.message}`));
    };
    this.lanes = this.#open(opening);
  }

  async #open(opening: Opening): Promise<readonly Lane[]> {
    try {
      await this.#call({ op: "open", opening });
    } catch (error) {
      if (this.#closed) return [];
      throw error;
    }
    this.#state = "open";
    return Array.from({ length: lanesPerThread }, () => ({
      fill: async (stretch, signal, onPassed) => {
        signal.throwIfAborted();
        try {
          await this.#call({ op: "fill", stretch }, onPassed, signal);
        } catch (error) {
          // Cut off, it says so in its own words.
          signal.throwIfAborted();
          throw error;
        }
      },
    }));
  }

  /** Cut off by the signal, a call is waited for all the same. */
  async #call(
    request: Asked<Request>,
    onPassed?: (records: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const call = ++this.#count;
    const settled = Promise.withResolvers<void>();
    this.#calls.set(call, { settled, ...(onPassed && { onPassed }) });
    const cutOff = () => this.#worker.postMessage({ call, op: "cut off" } satisfies Request);
    signal?.addEventListener("abort", cutOff, { once: true });
    try {
      this.#worker.postMessage({ ...request, call });
      await settled.promise;
    } finally {
      signal?.removeEventListener("abort", cutOff);
    }
  }

  /** One that is still starting is ended at once; of any other the engines are closed. */
  async close(): Promise<void> {
    if (this.#state === "open") {
      await Promise.allSettled(Array.from(this.#calls.values(), ({ settled }) => settled.promise));
      await this.#call({ op: "close" }).catch(() => {});
    }
    this.#closed = true;
    this.#end(new Error("the thread is closed"));
  }

  #end(reason: Error): void {
    this.#state = "ended";
    this.#worker.terminate();
    for (const { settled } of this.#calls.values()) settled.reject(reason);
    this.#calls.clear();
  }
}
