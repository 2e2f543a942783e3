import type { NetworkedConfig } from "../../../infra/config/config.ts";
import { LogUnavailable } from "../../../infra/event-log/port.ts";
import { SqlError } from "../../../infra/sql/port.ts";
import { UnfitRecord } from "../../../projections/runner/applier.ts";
import type { LaneOptions, Stretch } from "../../../projections/runner/lane.ts";
import type { DeadLetter } from "../../../projections/runner/dead-letters.ts";

/** The version that a thread fills, and how. */
export interface Opening extends LaneOptions {
  readonly config: Pick<NetworkedConfig, "KAFKA_BROKERS" | "POSTGRES_URL" | "CDN_BASE_URL">;
  readonly projection: { readonly name: string; readonly version: number };
}

/** What the operator's thread asks. Calls are numbered; each is answered once. */
export type Request =
  | { readonly call: number; readonly op: "open"; readonly opening: Opening }
  | { readonly call: number; readonly op: "fill"; readonly stretch: Stretch }
  /** Cuts a filling off, which is then answered as a failure. */
  | { readonly call: number; readonly op: "cut off" }
  | { readonly call: number; readonly op: "close" };

export type Reply =
  | { readonly call: number; readonly passed: number }
  | { readonly call: number; readonly done: true }
  | { readonly call: number; readonly failure: Failure };

/** An error in a form that passes between threads. */
export type Failure =
  | {
    readonly kind: "unfit";
    readonly projection: { readonly name: string; readonly version: number };
    readonly letter: DeadLetter;
  }
  | { readonly kind: "sql"; readonly code: string; readonly message: string }
  | { readonly kind: "log"; readonly message: string }
  | { readonly kind: "other"; readonly message: string; readonly stack?: string };

export function failureOf(error: unknown): Failure {
  if (error instanceof UnfitRecord) {
    const { projection, letter } = error;
    return { kind: "unfit", projection, letter };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof SqlError) return { kind: "sql", code: error.code, message };
  if (error instanceof LogUnavailable) return { kind: "log", message };
  const stack = error instanceof Error ? error.stack : undefined;
  return { kind: "other", message, ...(stack !== undefined && { stack }) };
}

export function errorOf(failure: Failure): Error {
  switch (failure.kind) {
    case "unfit":
      return new UnfitRecord(failure.projection, failure.letter);
    case "sql":
      return new SqlError(failure.code, failure.message);
    case "log":
      return new LogUnavailable(failure.message);
    case "other": {
      const error = new Error(failure.message);
      if (failure.stack !== undefined) error.stack = failure.stack;
      return error;
    }
  }
}
