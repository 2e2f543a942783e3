import type { EventLog } from "../../infra/event-log/port.ts";
import { dropSchema, migrate } from "../../infra/sql/migrate.ts";
import type { Sql } from "../../infra/sql/port.ts";
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
    await transaction.query(
      `INSERT INTO projections.checkpoints (projection, version, topic, partition, next_offset)
       SELECT $1, $2, topic, partition, 0 FROM unnest($3::text[], $4::integer[]) AS t (topic, partition)
       ON CONFLICT DO NOTHING`,
      [name, version, partitions.map((p) => p.topic), partitions.map((p) => p.partition)],
    );
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
    for (const table of ["checkpoints", "dead_letters", "versions"]) {
      await transaction.query(
        `DELETE FROM projections.${table} WHERE projection = $1 AND version = $2`,
        [name, version],
      );
    }
  });
  await dropSchema(sql, schemaOf(name, version));
}
