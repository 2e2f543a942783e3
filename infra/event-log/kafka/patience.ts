import { setTimeout as delay } from "node:timers/promises";
import { findErrorBy, GenericError } from "@platformatic/kafka";
import { LogUnavailable } from "../port.ts";

/** Milliseconds an operation goes on trying before the log counts as unavailable. */
export const patience = 30_000;

/**
 * Attempts again while the cluster has a passing trouble: an election, a restart, a lost connection.
 * @throws {LogUnavailable} when that lasts, or is of the lasting kind; the signal's reason when it
 * aborts in between; anything else as it is.
 */
export async function untilAvailable<T>(
  doing: string,
  attempt: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const deadline = Date.now() + patience;
  for (let pause = 50;; pause = Math.min(pause * 2, 1_000)) {
    try {
      return await within(deadline - Date.now(), attempt());
    } catch (error) {
      if (!isOfKafka(error)) throw error;
      if (!isPassing(error) || Date.now() + pause > deadline) throw unavailable(doing, error);
    }
    await delay(pause, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}

/**
 * An attempt that is not over in time is left to itself: it ends with its client at the latest.
 * @throws {LogUnavailable} after so many milliseconds.
 */
export async function within<T>(milliseconds: number, attempt: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new LogUnavailable(`Kafka has not answered for ${patience / 1_000} s`)),
    milliseconds,
  );
  try {
    return await Promise.race([attempt, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export function unavailable(doing: string, cause: unknown): LogUnavailable {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new LogUnavailable(`Kafka, ${doing}: ${reason}`, { cause });
}

export function isOfKafka(error: unknown): error is GenericError {
  return error instanceof Error && GenericError.isGenericError(error);
}

function isPassing(error: Error): boolean {
  return findErrorBy(error, "canRetry", false) === null;
}

/** Whether an error is, or was caused by, one of Kafka's own: `NOT_LEADER_OR_FOLLOWER` and the like. */
export function isProtocolError(error: unknown, ...ids: readonly string[]): boolean {
  return isOfKafka(error) && ids.some((id) => findErrorBy(error, "apiId", id) !== null);
}
