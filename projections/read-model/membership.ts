import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { KeyMemory } from "../runner/key-memory.ts";
import type { SeenEvents } from "./seen-events.ts";

/** The table of a set, and its columns: the pair, and the event by which it stands. */
export interface MembershipTable {
  readonly table: string;
  readonly left: string;
  readonly right: string;
  readonly event: string;
}

/** A fact that puts a pair into a set or takes it out: a follow, a block, a like, or its opposite. */
export interface Membership {
  readonly eventId: string;
  readonly left: string;
  readonly right: string;
  readonly adds: boolean;
}

/** A pair that is in the set, and the event that put it there. */
export interface Member {
  readonly left: string;
  readonly right: string;
  readonly eventId: string;
}

export interface MembershipChange {
  readonly left: string;
  readonly right: string;
  /** The event by which the pair stood before the batch, and by which it stands after it. */
  readonly before: string | undefined;
  after: string | undefined;
}

/**
 * Folds facts, in order, over the pairs that stood before. Answers with every pair that any of them
 * changed on the way, even if it ends where it began, so that what is made of the answer does not
 * depend on where a batch was cut.
 *
 * Every event's id ends up either standing or seen, so a second append of it changes nothing.
 */
export function foldMemberships(
  standing: readonly Member[],
  facts: readonly Membership[],
  seen: SeenEvents,
): Readonly<MembershipChange>[] {
  const pairs = new Map<string, MembershipChange>();
  const pairOf = (left: string, right: string, before?: string) => {
    const key = `${left}/${right}`;
    let pair = pairs.get(key);
    if (!pair) pairs.set(key, pair = { left, right, before, after: before });
    return pair;
  };
  for (const { left, right, eventId } of standing) pairOf(left, right, eventId);
  const changed = new Set<MembershipChange>();
  for (const { left, right, eventId, adds } of facts) {
    const pair = pairOf(left, right);
    const current = pair.after;
    if (current === eventId || seen.has(eventId)) continue;
    if (adds && current === undefined) {
      pair.after = eventId;
      changed.add(pair);
      continue;
    }
    seen.add(eventId);
    if (!adds && current !== undefined) {
      seen.add(current);
      pair.after = undefined;
      changed.add(pair);
    }
  }
  return [...changed];
}

/** What the change adds to a count of the set's members. */
export function deltaOf({ before, after }: Readonly<MembershipChange>): number {
  return (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
}

/** Loads what stands of the pairs the facts name, folds the facts over it and writes what changed. */
export async function applyMemberships(
  { table, left, right, event }: MembershipTable,
  facts: readonly Membership[],
  transaction: SqlTransaction,
  seen: SeenEvents,
  memory?: KeyMemory,
): Promise<Readonly<MembershipChange>[]> {
  if (facts.length === 0) return [];
  const due = memory ? facts.filter((fact) => memory.recall(fact.left, fact.right)) : facts;
  const standing = due.length === 0 ? [] : await transaction.query<Member>(
    // LIMIT keeps this one index probe per pair. As a plain join it would be planned without regard
    // to partition pruning, and scan all partitions for every batch.
    `SELECT pair.*, member."eventId"
     FROM unnest($1::uuid[], $2::uuid[]) AS pair ("left", "right")
     CROSS JOIN LATERAL (
       SELECT ${event} AS "eventId" FROM ${table}
       WHERE ${left} = pair."left" AND ${right} = pair."right" LIMIT 1
     ) AS member`,
    pairs(due),
  );
  const changes = foldMemberships(standing, facts, seen);
  const ended = changes.filter(({ before, after }) => before && !after);
  if (ended.length > 0) {
    await transaction.query(
      // Found by one index probe per pair, as above, and deleted where they lie: an equal `left` means
      // the same partition, in which ctid is a row's place. With the pairs in WHERE, planning alone
      // takes milliseconds per pair, and the plan reads all partitions whole.
      `DELETE FROM ${table} AS member
       USING (
         SELECT pair."left", found.place
         FROM unnest($1::uuid[], $2::uuid[]) AS pair ("left", "right")
         CROSS JOIN LATERAL (
           SELECT ctid AS place FROM ${table}
           WHERE ${left} = pair."left" AND ${right} = pair."right" LIMIT 1
         ) AS found
       ) AS ended
       WHERE member.${left} = ended."left" AND member.ctid = ended.place`,
      pairs(ended),
    );
  }
  const begun = changes.filter(({ before, after }) => after && after !== before);
  const fresh = memory ? begun.filter(({ before }) => !before) : [];
  if (fresh.length > 0) {
    await transaction.copy(
      table,
      [left, right, event],
      fresh.map((change) => [change.left, change.right, change.after ?? null]),
    );
  }
  const known = memory ? begun.filter(({ before }) => before) : begun;
  if (known.length > 0) {
    await transaction.query(
      `INSERT INTO ${table} (${left}, ${right}, ${event})
       SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[])
       ON CONFLICT (${left}, ${right}) DO UPDATE SET ${event} = excluded.${event}`,
      [...pairs(known), known.map(({ after }) => after)],
    );
  }
  return changes;
}

function pairs(rows: readonly { left: string; right: string }[]): string[][] {
  return [rows.map(({ left }) => left), rows.map(({ right }) => right)];
}
