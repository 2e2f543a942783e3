import type { DomainEvent } from "../../domain/events.ts";
import type { Topic } from "../../domain/event.ts";
import type { TopicPartition } from "../../infra/event-log/port.ts";
import type { KeyMemory } from "./key-memory.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";

/** An event and where in the log it lies. */
export interface Recorded extends TopicPartition {
  readonly offset: number;
  readonly event: DomainEvent;
}

interface ProjectionBase {
  /** Also the name of its schema or key prefix, versioned: `read_model` at version 1 fills `read_model_v1`. */
  readonly name: string;
  /** Which of the versions that stand side by side: 1 is the first, a rebuild fills the next. */
  readonly version: number;
  readonly topics: readonly Topic[];
  /**
   * Projections that must have passed a record before this one sees it. Feeds come after the read
   * model: of a post and a follow, whichever is seen second then finds the other in the database.
   */
  readonly after?: readonly string[];
}

/**
 * Lives in PostgreSQL: the batch and its checkpoints commit in one transaction, so a batch is applied
 * once or not at all.
 *
 * Topics and partitions have no order among them, and a rebuild reads them in another one than the
 * live system did. So what `apply` leaves behind depends on the order within each partition alone:
 * counters are sums, rows of other aggregates are not presumed to exist, and nothing is looked up to
 * decide what is written, unless it is of the same key.
 */
export interface TransactionalProjection extends ProjectionBase {
  readonly kind: "transactional";
  /** Numbered migrations that build an empty schema, in order. */
  readonly migrations: URL;
  /**
   * Statements name tables by the unversioned schema (`read_model.posts`); the transaction handed in
   * puts the version in. Events of one partition are in order. `memory` is there when a version is
   * filled by one writer from its beginning: where it knows no key, there is no row, and `completion`
   * is still to come.
   */
  apply(
    events: readonly Recorded[],
    transaction: SqlTransaction,
    memory?: KeyMemory,
  ): Promise<void>;
  /**
   * Statements, each a transaction, that make of the rows what `apply` may leave out as long as it has
   * a memory. They come once the filling from the beginning is over, and must come to the same
   * whatever has been left out.
   */
  readonly completion?: readonly string[];
}

/** Lives elsewhere: idempotent by construction, its checkpoint written after its effect. */
export interface EffectProjection extends ProjectionBase {
  readonly kind: "effect";
  /** As of a transactional projection, for what it must remember between batches. */
  readonly migrations?: URL;
  apply(events: readonly Recorded[], signal: AbortSignal): Promise<void>;
}

export type Projection = TransactionalProjection | EffectProjection;

/** A projection as the code has it, which makes any version of it. */
export interface Definition {
  readonly name: string;
  /**
   * Goes up with any change of what the projection makes of an event. A version belongs to the
   * revision that fills it: processes of another release leave it to their own.
   */
  readonly revision: number;
  readonly topics: readonly Topic[];
  at(version: number): Instance;
  /** Of an effect projection: brings what one version holds over to a new one, which is empty. */
  carryOver?(from: number, to: number, told: Told): Promise<void>;
  /** Of an effect projection: what a version holds that is not what the log says, in a line each. */
  differences?(version: number, told: Told): Promise<readonly string[]>;
  /** Frees what a version held outside PostgreSQL. */
  drop?(version: number): Promise<void>;
}

export interface Instance {
  readonly projection: Projection;
  /** Begins what goes on beside its batches. */
  start?(logger: Logger): { stop(): Promise<void> };
}

/** Whoever waits for something long. */
export interface Told {
  readonly signal: AbortSignal;
  onStep(step: { what: string; done: number; of?: number; note?: string }): void;
}

/** The definition of a projection that needs nothing but its name to make another version. */
export function define(projection: Projection, revision = 1): Definition {
  const { name, topics } = projection;
  return { name, revision, topics, at: (version) => ({ projection: { ...projection, version } }) };
}
