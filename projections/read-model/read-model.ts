import { type AccountEvent, accountEvents } from "../../domain/account.ts";
import { type EngagementEvent, engagementEvents } from "../../domain/engagement.ts";
import type { DomainEvent } from "../../domain/events.ts";
import { type FollowEvent, followEvents } from "../../domain/follow.ts";
import { type PostEvent, postEvents } from "../../domain/post.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { KeyMemory } from "../runner/key-memory.ts";
import type { Recorded, TransactionalProjection } from "../runner/projection.ts";
import { applyAccounts } from "./accounts.ts";
import { countAll, Counts } from "./counts.ts";
import { applyEngagement } from "./engagement.ts";
import { applyFollows } from "./follows.ts";
import { applyPosts } from "./posts.ts";
import { SeenEvents } from "./seen-events.ts";

/**
 * Accounts, follows, blocks, posts, likes, comments and their counts.
 *
 * A batch goes in three steps: load the rows of its keys, fold its events over them in memory, write
 * what changed, each step in one statement per table. Loading then writing is safe because a key has
 * one writer, held by its partition's checkpoint; rows counted from several keys are never loaded,
 * only added to.
 */
export const readModel: TransactionalProjection = {
  kind: "transactional",
  name: "read_model",
  version: 1,
  topics: ["accounts", "follows", "posts", "engagement"],
  migrations: new URL("migrations/", import.meta.url),
  apply: applyToReadModel,
  completion: countAll,
};

async function applyToReadModel(
  recorded: readonly Recorded[],
  transaction: SqlTransaction,
  memory?: KeyMemory,
): Promise<void> {
  const events = recorded.map(({ event }) => event);
  const seen = await SeenEvents.load(transaction, events, memory);
  const counts = new Counts(memory !== undefined);
  await applyAccounts(events.filter(isAccountEvent), transaction, seen);
  await applyFollows(events.filter(isFollowEvent), transaction, seen, counts, memory);
  await applyPosts(events.filter(isPostEvent), transaction, seen, counts, memory);
  await applyEngagement(events.filter(isEngagementEvent), transaction, seen, counts, memory);
  await seen.save(transaction);
  await counts.save(transaction);
}

/** Tells the events of one aggregate from the others. */
function oneOf<E extends DomainEvent>(definitions: readonly { readonly name: E["type"] }[]) {
  const names = new Set<string>(definitions.map(({ name }) => name));
  return (event: DomainEvent): event is E => names.has(event.type);
}

const isAccountEvent = oneOf<AccountEvent>(accountEvents);
const isFollowEvent = oneOf<FollowEvent>(followEvents);
const isPostEvent = oneOf<PostEvent>(postEvents);
const isEngagementEvent = oneOf<EngagementEvent>(engagementEvents);
