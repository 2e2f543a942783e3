import type { LogRecord, TopicPartition } from "../../infra/event-log/port.ts";
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

/** Whether anything is parked. */
export async function hasLetters(
  sql: SqlQueries,
  { name, version }: Projection,
): Promise<boolean> {
  const [row] = await sql.query<{ some: boolean }>(
    `SELECT EXISTS (
       SELECT FROM projections.dead_letters WHERE projection = $1 AND version = $2) AS some`,
    [name, version],
  );
  return row?.some ?? false;
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

/** A letter as it is kept: where its record lies in the log, and why it is here. */
export interface KeptLetter extends TopicPartition {
  readonly projection: string;
  readonly version: number;
  readonly offset: number;
  readonly key: string;
  readonly category: string;
  readonly message: string;
  readonly parkedAt: Date;
}

/** All records of one key lie in one partition, and so do its letters. */
export interface ParkedKey extends TopicPartition {
  readonly key: string;
}

/** What is left out is not asked for. */
export interface LetterFilter {
  readonly projection?: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly key?: string;
}

const ofLive = `projections.dead_letters AS d
  JOIN projections.live AS l ON l.projection = d.projection AND l.version = d.version
  WHERE ($1::text IS NULL OR d.projection = $1) AND ($2::text IS NULL OR d.topic = $2)
    AND ($3::integer IS NULL OR d.partition = $3) AND ($4::bigint IS NULL OR d.record_offset = $4)
    AND ($5::text IS NULL OR d.key = $5)`;

function parametersOf({ projection, topic, partition, offset, key }: LetterFilter) {
  return [projection, topic, partition, offset, key && storable(key)].map((value) => value ?? null);
}

/** Letters of the live versions, key by key, each key's in order; at most `limit`. */
export async function liveLetters(
  sql: SqlQueries,
  filter: LetterFilter,
  limit: number,
): Promise<KeptLetter[]> {
  return await sql.query<KeptLetter>(
    `SELECT d.projection, d.version, d.topic, d.partition, d.record_offset AS offset, d.key,
       d.category, d.message, d.parked_at AS "parkedAt"
     FROM ${ofLive} ORDER BY d.projection, d.topic, d.key, d.record_offset LIMIT $6`,
    [...parametersOf(filter), limit],
  );
}

export async function countLiveLetters(sql: SqlQueries, filter: LetterFilter): Promise<number> {
  const [row] = await sql.query<{ letters: number }>(
    `SELECT count(*) AS letters FROM ${ofLive}`,
    parametersOf(filter),
  );
  return row?.letters ?? 0;
}

/** Keys of a live version that have letters; those that were parked first come first. */
export async function parkedKeysOf(
  sql: SqlQueries,
  filter: LetterFilter,
): Promise<(ParkedKey & { readonly projection: string })[]> {
  return await sql.query(
    `SELECT d.projection, d.topic, d.partition, d.key FROM ${ofLive}
     GROUP BY d.projection, d.topic, d.partition, d.key ORDER BY min(d.parked_at), d.key`,
    parametersOf(filter),
  );
}

/** The first letters of one key, in order. */
export async function lettersOf(
  sql: SqlQueries,
  { name, version }: Projection,
  { topic, key }: ParkedKey,
  limit: number,
): Promise<Pick<KeptLetter, "offset" | "category" | "message">[]> {
  return await sql.query(
    `SELECT record_offset AS offset, category, message FROM projections.dead_letters
     WHERE projection = $1 AND version = $2 AND topic = $3 AND key = $4
     ORDER BY record_offset LIMIT $5`,
    [name, version, topic, key, limit],
  );
}

/** Rewrites why letters are here. */
export async function relabel(
  sql: SqlQueries,
  { name, version }: Projection,
  { topic, partition }: TopicPartition,
  offsets: readonly number[],
  { category, message }: Pick<DeadLetter, "category" | "message">,
): Promise<void> {
  if (offsets.length === 0) return;
  await sql.query(
    `UPDATE projections.dead_letters SET category = $6, message = $7
     WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4
       AND record_offset = ANY ($5::bigint[])`,
    [name, version, topic, partition, offsets, category, storable(message)],
  );
}

export async function removeLetters(
  sql: SqlQueries,
  { name, version }: Pick<Projection, "name" | "version">,
  { topic, partition }: TopicPartition,
  offsets: readonly number[],
): Promise<void> {
  if (offsets.length === 0) return;
  await sql.query(
    `DELETE FROM projections.dead_letters
     WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4
       AND record_offset = ANY ($5::bigint[])`,
    [name, version, topic, partition, offsets],
  );
}

/**
 * Keeps live batches of this partition from committing until the transaction ends, since each begins
 * with its checkpoint. What such a batch has parked is seen by the statements that follow; one that
 * comes later sees what this transaction has made of the letters.
 */
export async function holdPartition(
  transaction: SqlQueries,
  { name, version }: Pick<Projection, "name" | "version">,
  { topic, partition }: TopicPartition,
): Promise<void> {
  await transaction.query(
    `SELECT FROM projections.checkpoints
     WHERE projection = $1 AND version = $2 AND topic = $3 AND partition = $4 FOR UPDATE`,
    [name, version, topic, partition],
  );
}
