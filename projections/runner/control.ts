import type { EventLog, TopicPartition } from "../../infra/event-log/port.ts";
import { dropSchema, migrate } from "../../infra/sql/migrate.ts";
import type { Sql, SqlQueries } from "../../infra/sql/port.ts";
import { schemaOf } from "./live-schemas.ts";
import type { Projection } from "./projection.ts";

/** Creates the schema in which the runner keeps its own account. */
export async function ensureControl(sql: Sql): Promise<void> {
  await migrate(sql, new URL("migrations/", import.meta.url), "projections");
}

/**
 * Makes ready what a projection needs before its first record: its schema at its version, and a
 * checkpoint for every partition of its topics. A projection that has no live version gets this one.
 */
export async function ensureProjection(
  sql: Sql,
  log: Pick<EventLog, "watermarks">,
  projection: Projection,
  revision = 1,
): Promise<void> {
  const { name, version, topics } = projection;
  await ensureControl(sql);
  if (projection.migrations) {
    await migrate(sql, projection.migrations, name, schemaOf(name, version));
  }
  const partitions = await log.watermarks(topics);
  await sql.transaction(async (transaction) => {
    await addCheckpoints(transaction, projection, partitions);
    await transaction.query(
      `INSERT INTO projections.versions (projection, version, revision, state)
       VALUES ($1, $2, $3, 'followed')
       ON CONFLICT DO NOTHING`,
      [name, version, revision],
    );
    await transaction.query(
      "INSERT INTO projections.live (projection, version) VALUES ($1, $2) ON CONFLICT DO NOTHING",
      [name, version],
    );
  });
}

/**
 * Makes ready a version that whoever made it may drop at any moment: a checkpoint for every partition
 * that has none. Resolves to false, and has made nothing, when it is not there any more.
 */
export async function ensureCheckpoints(
  sql: Sql,
  log: Pick<EventLog, "watermarks">,
  projection: Projection,
): Promise<boolean> {
  const { name, version, topics } = projection;
  const partitions = await log.watermarks(topics);
  return await sql.transaction(async (transaction) => {
    // The lock that `dropProjection` takes first: it comes before this, or sees what this has added.
    const there = await transaction.query(
      "SELECT FROM projections.versions WHERE projection = $1 AND version = $2 FOR KEY SHARE",
      [name, version],
    );
    if (there.length === 0) return false;
    await addCheckpoints(transaction, projection, partitions);
    return true;
  });
}

async function addCheckpoints(
  transaction: SqlQueries,
  { name, version }: Projection,
  partitions: readonly TopicPartition[],
): Promise<void> {
  await transaction.query(
    `INSERT INTO projections.checkpoints (projection, version, topic, partition, next_offset)
     SELECT $1, $2, topic, partition, 0 FROM unnest($3::text[], $4::integer[]) AS t (topic, partition)
     ON CONFLICT DO NOTHING`,
    [name, version, partitions.map((p) => p.topic), partitions.map((p) => p.partition)],
  );
}

/** The version to be dropped is the one that answers queries. */
export class VersionIsLive extends Error {
  override readonly name = "VersionIsLive";
}

/** Removes one version of a projection: its schema, its checkpoints, its dead letters. */
export async function dropProjection(sql: Sql, name: string, version: number): Promise<void> {
  await sql.transaction(async (transaction) => {
    const live = await transaction.query(
      "SELECT FROM projections.live WHERE projection = $1 AND version = $2 FOR UPDATE",
      [name, version],
    );
    if (live.length > 0) throw new VersionIsLive(`version ${version} of ${name} is live`);
    // The version first, which holds back whoever is about to begin with it.
    for (const table of ["versions", "checkpoints", "dead_letters"]) {
      await transaction.query(
        `DELETE FROM projections.${table} WHERE projection = $1 AND version = $2`,
        [name, version],
      );
    }
  });
  await dropSchema(sql, schemaOf(name, version));
}
