/**
 * The pattern every aggregate follows (Jérémie Chassaing, "Functional Event Sourcing Decider", 2021):
 * `decide` turns a command and what is known into events or a refusal, `evolve` folds events into
 * what is known. Both are pure: clocks, ids and randomness arrive in the context.
 */
export interface Decider<State, Command, E> {
  readonly initialState: State;
  decide(command: Command, state: State, context: Context): Decision<E>;
  evolve(state: State, event: E): State;
}

/** The impure part of a decision, passed in. */
export interface Context {
  /** RFC 3339 in UTC. */
  readonly now: string;
  /** A fresh UUIDv7, or the next of those that an idempotency key has reserved. */
  nextId(): string;
}

export type Decision<E> =
  | { readonly ok: true; readonly events: readonly E[] }
  | { readonly ok: false; readonly refusal: Refusal };

/** An expected "no". The code is stable: clients see it as the `type` of a problem document. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly detail: string;
}

export type RefusalCode =
  | "account-not-found"
  | "account-closed"
  | "handle-taken"
  | "post-not-found"
  | "comment-not-found"
  | "media-not-uploaded"
  | "not-the-author"
  | "blocked"
  | "blocking"
  | "self-relation";

export function accept<E>(...events: E[]): Decision<E> {
  return { ok: true, events };
}

export function refuse(code: RefusalCode, detail: string): { ok: false; refusal: Refusal } {
  return { ok: false, refusal: { code, detail } };
}

/** Makes the compiler list what a switch forgot. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
