import { setImmediate as turn } from "node:timers/promises";
import { originalKey } from "../../domain/media.ts";
import type { EventLog, Headers } from "../../infra/event-log/port.ts";
import { traceHeader } from "../../infra/event-log/tracing.ts";
import { apart, traceparent } from "../../infra/telemetry/tracing.ts";

/** Seconds within which an upload must begin. */
export const uploadLifetime = 15 * 60;

/**
 * What was signed: a topic beside the facts. A record holds the keys that originals are uploaded to, one
 * a line, and its timestamp is when they were signed. The sweeper reads it, so that an upload counts
 * although its client never says that it is done.
 */
export const signedUploads = "signed-uploads";

/** Uploads in one record, so that a reader has little to do again after a kill. */
const maximumUploads = 200;

interface Signed extends PromiseWithResolvers<void> {
  readonly mediaId: string;
  readonly key: string;
  readonly traceparent?: string;
}

/**
 * Notes what is signed. One record is under way at a time, and what is signed meanwhile shares the
 * next one, with what comes as long as every turn of the event loop brings some: a process that is
 * asked for little waits for one append, and one that is asked for much makes no more of them.
 */
export class SignedUploads {
  readonly #log: Pick<EventLog, "append">;
  readonly #waiting: Signed[] = [];
  #appending = false;

  constructor(log: Pick<EventLog, "append">) {
    this.#log = log;
  }

  /** Resolves once it is durable. @throws what the log failed with. */
  note({ mediaId, ownerId }: { mediaId: string; ownerId: string }): Promise<void> {
    const signed = {
      mediaId,
      key: originalKey(ownerId, mediaId),
      traceparent: traceparent(),
      ...Promise.withResolvers<void>(),
    };
    this.#waiting.push(signed);
    if (!this.#appending) apart(() => this.#appendAll());
    return signed.promise;
  }

  async #appendAll(): Promise<void> {
    this.#appending = true;
    for (;;) {
      await this.#gathered();
      const together = this.#waiting.splice(0, maximumUploads);
      const [first] = together;
      if (!first) break;
      const value = together.map(({ key }) => key).join("\n");
      // Of the traces of all that share it, it is in the first.
      const headers: Headers = first.traceparent === undefined
        ? {}
        : { [traceHeader]: first.traceparent };
      try {
        await this.#log.append([{ topic: signedUploads, key: first.mediaId, value, headers }]);
        for (const { resolve } of together) resolve();
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    this.#appending = false;
  }

  async #gathered(): Promise<void> {
    for (let before = -1; this.#waiting.length > before;) {
      before = this.#waiting.length;
      if (before === 0 || before >= maximumUploads) return;
      await turn();
    }
  }
}

/** The keys in a record's value. */
export function signedKeys({ value }: { readonly value: string }): string[] {
  return value.split("\n");
}
