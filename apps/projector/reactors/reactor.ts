import { type Topic, UnreadableEvent } from "../../../domain/event.ts";
import type { DomainEvent } from "../../../domain/events.ts";
import { decodeEvent, encodeEvent, type TextSealer } from "../../../infra/event-log/codec.ts";
import type { Consumption, EventLog } from "../../../infra/event-log/port.ts";
import { tracedRecord } from "../../../infra/event-log/tracing.ts";
import type { Position } from "../../../infra/event-log/position.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";
import type { Logger } from "../../../infra/telemetry/logger.ts";

/** What every reactor works with. */
export interface ReactorServices {
  readonly log: EventLog;
  readonly sql: SqlQueries;
  readonly sealer: TextSealer;
  readonly progress: {
    reached(
      position: Position,
      projections: readonly string[],
      timeoutMs: number,
    ): Promise<boolean>;
  };
  readonly logger: Logger;
  now(): Date;
  newId(): string;
}

/**
 * Carries a fact on to what must follow from it: more events, or effects outside the log. Unlike a
 * projection it is not rebuilt: the group's committed offsets say what it has done. It is delivered
 * each event at least once, so `react` must bear doing again.
 */
export interface Reactor {
  /** Also the consumer group. */
  readonly name: string;
  readonly topics: readonly Topic[];
  /** The events it is about; others are not handed to it. */
  readonly eventTypes: readonly DomainEvent["type"][];
  react(event: DomainEvent, signal: AbortSignal): Promise<void>;
}

/** Reacts to an event only when the read model has passed it, so that reactors can ask it. */
export async function startReactor(
  reactor: Reactor,
  { log, sealer, progress, logger }: ReactorServices,
): Promise<Consumption> {
  const about = new Set<string>(reactor.eventTypes);
  return await log.consume({
    group: reactor.name,
    topics: reactor.topics,
    maximumBatch: 100,
    onError: (error) => logger.error("a reactor failed and will try again", { error }),
    handle: async (records, signal) => {
      for (const record of records) {
        const [, name = ""] = record.headers.ce_type?.split(".") ?? [];
        if (!about.has(name)) continue;
        let event: DomainEvent;
        try {
          event = await decodeEvent(record, sealer);
        } catch (error) {
          if (!(error instanceof UnreadableEvent)) throw error;
          logger.error("a reactor passed over a record it cannot read", {
            topic: record.topic,
            partition: record.partition,
            offset: record.offset,
            reason: error.category,
            error: error.message,
          });
          continue;
        }
        await tracedRecord(reactor.name, record, async () => {
          await readModelReached([record], progress, signal);
          await reactor.react(event, signal);
        });
      }
    },
  });
}

/** @throws when `signal` aborts first. */
export async function readModelReached(
  position: Position,
  progress: ReactorServices["progress"],
  signal: AbortSignal,
): Promise<void> {
  do signal.throwIfAborted(); while (!(await progress.reached(position, ["read_model"], 1000)));
}

/** Appends events that follow from another. */
export async function appendAll(
  events: readonly DomainEvent[],
  { log, sealer }: Pick<ReactorServices, "log" | "sealer">,
): Promise<void> {
  if (events.length === 0) return;
  await log.append(await Promise.all(events.map((event) => encodeEvent(event, sealer))));
}
