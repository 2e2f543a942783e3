import type { z } from "zod";
import type { Engines } from "../../infra/config/engines.ts";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { Logger } from "../../infra/telemetry/logger.ts";
import type { OpenLaneThread } from "../../projections/runner/lane.ts";
import type { LiveSql } from "../../projections/runner/live-schemas.ts";

/** Milliseconds: what a large table's index, or a comparison of two, may take. */
export const statementTimeout = 3_600_000;

/** What operations work with, on any engines. */
export interface OperatorEngines extends
  Pick<
    Engines,
    "log" | "sql" | "feedCaches" | "cardCache" | "store" | "edge"
  > {
  /** The live versions of the projections, over `sql`. */
  readonly live: LiveSql;
  readonly sealer: TextSealer;
  readonly cdnBaseUrl: string;
  readonly pullThreshold: number;
  readonly logger: Logger;
  /** Where a thread may have engines of its own. */
  readonly openLaneThread?: OpenLaneThread;
}

/** How far a long operation is. */
export interface Step {
  /** What is being done, in a word or two: the bar's label. */
  readonly what: string;
  readonly done: number;
  /** Unknown where left out. */
  readonly of?: number;
  /** Said behind the bar. */
  readonly note?: string;
}

export interface Told {
  /** Aborts with a `Cancelled` when the operator says so, and otherwise when they have gone. */
  readonly signal: AbortSignal;
  onStep(step: Step): void;
}

/** The operator has called it off: it leaves no trace. */
export class Cancelled extends Error {
  override readonly name = "Cancelled";
}

/** Trouble that a person can mend; its message names the remedy, and is told without a stack trace. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/** Something an operator may ask for. What it answers must be JSON. */
export interface Operation<Input, Output> {
  readonly input: z.ZodType<Input>;
  run(engines: OperatorEngines, input: Input, told: Told): Promise<Output>;
}

/** For its types alone. */
export function operation<Input, Output>(
  definition: Operation<Input, Output>,
): Operation<Input, Output> {
  return definition;
}
