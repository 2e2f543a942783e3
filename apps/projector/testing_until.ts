import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

/** Resolves when it holds; fails when it does not within half a minute. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!await holds()) {
    assert(performance.now() < deadline, `not within half a minute: ${what}`);
    await delay(10);
  }
}
