import { partitionOf } from "../event-log/partitioner.ts";
import type { Appended, EventLog } from "../event-log/port.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Identity } from "./port.ts";

/** Rows appended by one call. */
const maximumRows = 100;
/** Milliseconds between looks at the outbox when nobody pokes, and before a failure is tried again. */
const pollInterval = 1_000;

/** Which record of the outbox a command has caused. */
export interface Caused {
  readonly topic: string;
  readonly key: string;
  /** The record's `ce_id`. */
  readonly eventId: string;
}

export interface OutboxRelay {
  /** Looks at the outbox now. */
  poke(): void;
  /**
   * Resolves once the record, which must have been committed to the outbox before, is in the log:
   * with its place, or with the end of its partition when it was delivered before this was called.
   * Rejects with what the log or the store failed with; the record stays in the outbox then and is
   * delivered later.
   */
  deliver(caused: Caused): Promise<Appended>;
  /** Finishes the rows in hand. */
  stop(): Promise<void>;
}

/**
 * Moves the outbox to the log, in order and at least once: rows are removed after the log has
 * acknowledged them, so a relay that is killed, or a second one, repeats some and loses none.
 */
export function startOutboxRelay(options: {
  identity: Pick<Identity, "pendingOutbox" | "removeOutbox">;
  log: Pick<EventLog, "append" | "watermarks">;
  logger: Logger;
  onError?(error: unknown): void;
}): OutboxRelay {
  const { identity, log, logger, onError } = options;
  const waiting = new Set<Delivery>();
  let stopped = false;
  let poked = false;
  let wake = () => {};

  async function run(): Promise<void> {
    while (!stopped) {
      poked = false;
      // Of these it is sure that they had committed when the outbox was read.
      const deliveries = [...waiting];
      try {
        if (await relayRows(deliveries)) continue;
      } catch (error) {
        logger.warn("the outbox waits: a record could not be moved to the log", { error });
        onError?.(error);
        rejectAll(deliveries, error);
      }
      if (!poked) await pokeOrPoll();
    }
    rejectAll(waiting, new RelayStopped());
  }

  /** Resolves to whether more rows may be waiting. */
  async function relayRows(deliveries: readonly Delivery[]): Promise<boolean> {
    const rows = await identity.pendingOutbox(maximumRows);
    const appended = rows.length > 0 ? await log.append(rows.map(({ record }) => record)) : [];
    const places = new Map(rows.map(({ record }, row) => [record.headers.ce_id, appended[row]]));
    const complete = rows.length < maximumRows;
    for (const delivery of waiting) {
      const place = places.get(delivery.eventId);
      if (place) settle(delivery, place);
    }
    for (const delivery of complete ? deliveries : []) {
      if (waiting.has(delivery)) settle(delivery, await endOfPartition(delivery));
    }
    if (rows.length > 0) await identity.removeOutbox(rows.map(({ id }) => id));
    return !complete;
  }

  function settle(delivery: Delivery, place: Appended): void {
    waiting.delete(delivery);
    delivery.resolve(place);
  }

  /** The record was committed and has left the outbox, so it lies no later than this. */
  async function endOfPartition({ topic, key }: Caused): Promise<Appended> {
    const partitions = await log.watermarks([topic]);
    const partition = partitionOf(key, partitions.length);
    const end = partitions.find((candidate) => candidate.partition === partition);
    if (!end || end.high === 0) throw new Error(`nothing was delivered for ${key} in ${topic}`);
    return { topic, partition, offset: end.high - 1 };
  }

  function pokeOrPoll(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pollInterval);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  function rejectAll(deliveries: Iterable<Delivery>, error: unknown): void {
    for (const delivery of deliveries) {
      waiting.delete(delivery);
      delivery.reject(error);
    }
  }

  function poke(): void {
    poked = true;
    wake();
  }

  const running = run();
  return {
    poke,
    deliver(caused) {
      if (stopped) return Promise.reject(new RelayStopped());
      const delivery = { ...caused, ...Promise.withResolvers<Appended>() };
      waiting.add(delivery);
      poke();
      return delivery.promise;
    },
    async stop() {
      stopped = true;
      poke();
      await running;
    },
  };
}

type Delivery = Caused & PromiseWithResolvers<Appended>;

/** The record was not delivered before the relay stopped: the next one delivers it. */
export class RelayStopped extends Error {
  override readonly name = "RelayStopped";
  constructor() {
    super("the outbox relay has stopped");
  }
}
