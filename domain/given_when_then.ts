import assert from "node:assert/strict";
import type { Context, Decider, RefusalCode } from "./decision.ts";
import type { Event } from "./event.ts";

/** Fixed: decisions are pure, so a test hands them the time and the ids. */
export const now = "2026-01-02T03:04:05.678Z";

/** The n-th id of a test; all are valid UUIDv7 and in order. */
export function idOf(n: number): string {
  return `01900000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** What is said of an event in a test: its envelope is the context's. */
type Said<E> = E extends Event<infer Type, infer Data> ? { type: Type; data: Data } : never;

/** `given(decider, …history).when(command).then(…events)` or `.thenRefused(code)`. */
export function given<State, Command, E extends Event>(
  decider: Decider<State, Command, E>,
  ...history: Said<E>[]
) {
  const past = history.map((said) => ({ id: idOf(0xfff), time: now, ...said }) as unknown as E);
  const state = past.reduce((state, event) => decider.evolve(state, event), decider.initialState);
  return {
    state,
    when(command: Command) {
      let next = 0x1000;
      const context: Context = { now, nextId: () => idOf(next++) };
      const decision = decider.decide(command, state, context);
      return {
        then(...expected: Said<E>[]) {
          assert.ok(decision.ok, decision.ok ? "" : `refused: ${decision.refusal.detail}`);
          assert.deepEqual(
            decision.events,
            expected.map((said, n) => ({ id: idOf(0x1000 + n), time: now, ...said })),
          );
        },
        thenRefused(code: RefusalCode) {
          assert.ok(!decision.ok, "was accepted");
          assert.equal(decision.refusal.code, code);
          assert.notEqual(decision.refusal.detail, "");
        },
      };
    },
  };
}
