import type { LogRecord } from "../../infra/event-log/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import type { Projection } from "./projection.ts";

/** A record that was not applied. The category is stable and fit for counting; the message is for people. */
export interface DeadLetter {
  readonly record: LogRecord;
  readonly category: string;
  readonly message: string;
}

/** PostgreSQL's text holds no NUL and no lone surrogate, and whatever a record holds must be storable. */
function storable(text: string): string {
  return text.replaceAll("\0", "\ufffd").toWellFormed();
}

/** A topic's key as a key of sets. */
export function keyOf({ topic, key }: { topic: string; key: string }): string {
  return `${topic}/${storable(key)}`;
}

/** Which keys of these records have dead letters, so that whatever follows must wait behind them. */
export async function parkedKeys(
  sql: SqlQueries,
  { name, version }: Projection,
  records: readonly LogRecord[],
): Promise<Set<string>> {
  const rows = await sql.query<{ topic: string; key: string }>(
    `SELECT DISTINCT topic, key FROM projections.dead_letters
     WHERE projection = $1 AND version = $2
       AND (topic, key) IN (SELECT * FROM unnest($3::text[], $4::text[]))`,
    [
      name,
      version,
      records.map((record) => record.topic),
      records.map((record) => storable(record.key)),
    ],
  );
  return new Set(rows.map(keyOf));
}

/** Lays records aside, in the transaction that moves the checkpoint past them. */
export async function park(
  transaction: SqlQueries,
  { name, version }: Projection,
  letters: readonly DeadLetter[],
): Promise<void> {
  if (letters.length === 0) return;
  await transaction.query(
    `INSERT INTO projections.dead_letters
       (projection, version, topic, partition, record_offset, key, category, message, parked_at)
     SELECT $1, $2, t.*, now()
     FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::text[]) AS t`,
    [
      name,
      version,
      letters.map(({ record }) => record.topic),
      letters.map(({ record }) => record.partition),
      letters.map(({ record }) => record.offset),
      letters.map(({ record }) => storable(record.key)),
      letters.map(({ category }) => category),
      letters.map(({ message }) => storable(message)),
    ],
  );
}
