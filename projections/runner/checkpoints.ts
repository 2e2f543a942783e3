import type { TopicPartition } from "../../infra/event-log/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import type { Projection } from "./projection.ts";

/** A partition as a key of maps. */
export function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic}:${partition}`;
}

/** One partition's checkpoint on its way from one offset to a later one. */
export interface Move extends TopicPartition {
  readonly expected: number;
  readonly next: number;
}

/** Someone else has moved a checkpoint since it was read: they own the partition, or did. */
export class CheckpointMoved extends Error {
  override readonly name = "CheckpointMoved";
}

/** The offset each of the projection's partitions reads next. */
export async function loadCheckpoints(
  sql: SqlQueries,
  { name, version }: Projection,
): Promise<Map<string, number>> {
  const rows = await sql.query<TopicPartition & { next_offset: number }>(
    `SELECT topic, partition, next_offset FROM projections.checkpoints
     WHERE projection = $1 AND version = $2`,
    [name, version],
  );
  return new Map(rows.map((row) => [placeOf(row), row.next_offset]));
}

/** The same of the version that is live; empty when none is. */
export async function loadLiveCheckpoints(
  sql: SqlQueries,
  name: string,
): Promise<Map<string, number>> {
  const rows = await sql.query<TopicPartition & { next_offset: number }>(
    `SELECT topic, partition, next_offset
     FROM projections.checkpoints JOIN projections.live USING (projection, version)
     WHERE projection = $1`,
    [name],
  );
  return new Map(rows.map((row) => [placeOf(row), row.next_offset]));
}

/**
 * Moves checkpoints by compare-and-set, all or none. Must come first in the batch's transaction: the
 * row locks it takes hold a second owner back until this one has committed, and then refuse it.
 * @throws {CheckpointMoved}
 */
export async function moveCheckpoints(
  transaction: SqlQueries,
  { name, version }: Projection,
  moves: readonly Move[],
): Promise<void> {
  const moved = await transaction.query(
    `UPDATE projections.checkpoints AS c SET next_offset = m.next
     FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::bigint[])
       AS m (topic, partition, expected, next)
     WHERE c.projection = $1 AND c.version = $2 AND c.topic = m.topic AND c.partition = m.partition
       AND c.next_offset = m.expected
     RETURNING c.topic`,
    [
      name,
      version,
      moves.map((move) => move.topic),
      moves.map((move) => move.partition),
      moves.map((move) => move.expected),
      moves.map((move) => move.next),
    ],
  );
  if (moved.length !== moves.length) {
    throw new CheckpointMoved(`${moves.length - moved.length} checkpoints of ${name} v${version}`);
  }
}
