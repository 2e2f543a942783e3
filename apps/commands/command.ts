import type { Context as DecisionContext, Decision, Refusal } from "../../domain/decision.ts";
import type { DomainEvent } from "../../domain/events.ts";
import type { Topic } from "../../domain/event.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import { partitionOf } from "../../infra/event-log/partitioner.ts";
import { authenticate } from "../../infra/http/authenticate.ts";
import type { HttpContext } from "../../infra/http/env.ts";
import { jsonBody } from "../../infra/http/json-body.ts";
import { awaitPosition, awaitPositionTimeout, setPosition } from "../../infra/http/positions.ts";
import { Problem } from "../../infra/http/problem.ts";
import { rateLimit } from "../../infra/http/rate-limit.ts";
import { NoTextKey } from "../../infra/identity/sealing.ts";
import type { CommandServices } from "./services.ts";

/** The steps every command shares: who asks, what is known, what was decided, what is appended. */

/** Whose facts commands decide by. */
const readModel = ["read_model"];

/** Before a route that needs no account: its handler counts it against the limits of its own. */
export function anonymous({ progress }: CommandServices) {
  return [awaitPosition(progress, readModel), jsonBody()];
}

/** Before every other route. */
export function signedIn(services: CommandServices) {
  return [
    authenticate(services),
    rateLimit(services.rateLimits.commands),
    awaitPosition(services.progress, readModel),
    jsonBody(),
  ];
}

/** `nextId` is the next of the ids that an idempotency key has reserved, where there is one. */
export function contextOf(services: CommandServices, nextId = services.newId): DecisionContext {
  return { now: services.now().toISOString(), nextId };
}

/** The events that were decided on. @throws {Problem} of the refusal's own code. */
export function accepted<E>(decision: Decision<E>): readonly E[] {
  if (!decision.ok) throw refused(decision.refusal);
  return decision.events;
}

export function refused({ code, detail }: Refusal): Problem {
  return new Problem(code, detail);
}

/**
 * Appends what was decided and says where. Returns once it is durable: what a client is told has
 * happened is in the log.
 * @throws {Problem} `account-closed` when its account was closed since the token was checked.
 */
export async function append(
  c: HttpContext,
  { log, sealer }: CommandServices,
  events: readonly DomainEvent[],
): Promise<void> {
  const encoding = events.map((event) => encodeEvent(event, sealer));
  const records = await Promise.all(encoding).catch((error) => {
    throw error instanceof NoTextKey
      ? new Problem("account-closed", "this account is closed")
      : error;
  });
  setPosition(c, await log.append(records));
}

/**
 * Looks in the read model, and once more, when there is nothing, after it has passed what the log
 * holds of the key's partition by now (two seconds at most): what a client was told exists does.
 */
export async function awaited<Facts>(
  { log, progress }: CommandServices,
  { topic, key }: { topic: Topic; key: string },
  look: () => Promise<Facts | undefined>,
): Promise<Facts | undefined> {
  const facts = await look();
  if (facts !== undefined) return facts;
  const watermarks = await log.watermarks([topic]);
  const partition = partitionOf(key, watermarks.length);
  const high = watermarks.find((mark) => mark.partition === partition)?.high ?? 0;
  if (high === 0) return undefined;
  const end = [{ topic, partition, offset: high - 1 }];
  await progress.reached(end, readModel, awaitPositionTimeout);
  return look();
}
