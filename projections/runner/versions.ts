import type { EventLog } from "../../infra/event-log/port.ts";
import type { Sql, SqlQueries } from "../../infra/sql/port.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import { dropProjection, ensureControl } from "./control.ts";
import { schemaOf } from "./live-schemas.ts";
import type { Definition } from "./projection.ts";

export interface VersionRow {
  readonly version: number;
  readonly revision: number;
  readonly state: "filling" | "followed" | "kept";
  readonly live: boolean;
  /** Live before the last switch. */
  readonly previous: boolean;
  /** Someone is at work on it now. */
  readonly taken: boolean;
  readonly created_at: Date;
}

/** What of a projection is there, the oldest version first. */
export async function versionsOf(sql: SqlQueries, name: string): Promise<VersionRow[]> {
  return await sql.query<VersionRow>(
    `SELECT v.version, v.revision, v.state, v.created_at,
       coalesce(v.version = l.version, false) AS live,
       coalesce(v.version = l.previous, false) AS previous,
       v.taken_until > clock_timestamp() AS taken
     FROM projections.versions AS v LEFT JOIN projections.live AS l USING (projection)
     WHERE v.projection = $1 ORDER BY v.version`,
    [name],
  );
}

/** Another process is at work on the version. */
export class VersionTaken extends Error {
  override readonly name = "VersionTaken";
}

/**
 * The version that a rebuild fills: the one that an earlier rebuild of this release began and did not
 * end, or a new one. A new version begins at 0 in a schema of its own, or where `startFrom` says.
 */
export async function openNext(
  sql: Sql,
  log: Pick<EventLog, "watermarks">,
  definition: Definition,
  startFrom?: number,
): Promise<{ readonly version: number; readonly resumed: boolean }> {
  const { name, revision, topics } = definition;
  await ensureControl(sql);
  const versions = await versionsOf(sql, name);
  const begun = versions.find(({ live, previous, state }) =>
    !live && !previous && state !== "kept"
  );
  if (begun?.taken) {
    throw new VersionTaken(
      `${name} v${begun.version} is being filled by another process; wait for it, or call it off there`,
    );
  }
  if (begun?.revision === revision) return { version: begun.version, resumed: true };
  if (begun) await dropProjection(sql, name, begun.version);

  const version = Math.max(0, ...versions.map((row) => row.version)) + 1;
  const { projection } = definition.at(version);
  if (projection.migrations) {
    await migrate(sql, projection.migrations, name, schemaOf(name, version));
  }
  const partitions = await log.watermarks(topics);
  await sql.transaction(async (transaction) => {
    const state = projection.kind === "transactional" ? "filling" : "followed";
    const begun = await transaction.query(
      `INSERT INTO projections.versions (projection, version, revision, state)
       VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING version`,
      [name, version, revision, state],
    );
    if (begun.length === 0) {
      throw new VersionTaken(`${name} v${version} was begun by another process`);
    }
    await transaction.query(
      `INSERT INTO projections.checkpoints (projection, version, topic, partition, next_offset)
       SELECT $1, $2, t.topic, t.partition, coalesce(c.next_offset, 0)
       FROM unnest($3::text[], $4::integer[]) AS t (topic, partition)
       LEFT JOIN projections.checkpoints AS c ON c.projection = $1 AND c.version = $5
         AND c.topic = t.topic AND c.partition = t.partition
       ON CONFLICT DO NOTHING`,
      [
        name,
        version,
        partitions.map((p) => p.topic),
        partitions.map((p) => p.partition),
        startFrom ?? null,
      ],
    );
  });
  return { version, resumed: false };
}

/** Projectors keep it up to date from now on, besides whoever else does. */
export async function follow(sql: SqlQueries, name: string, version: number): Promise<void> {
  await sql.query(
    "UPDATE projections.versions SET state = 'followed' WHERE projection = $1 AND version = $2",
    [name, version],
  );
}

/** Seconds that a hold lasts unless it is renewed: what a kill costs the next who comes. */
const holdSeconds = 15;

/** Holds a version, so that two operators do not work on it at once. @throws {VersionTaken} */
export async function hold(
  sql: SqlQueries,
  name: string,
  version: number,
): Promise<{ release(): Promise<void> }> {
  const holder = crypto.randomUUID();
  const renew = async (seconds: number) => {
    const held = await sql.query(
      `UPDATE projections.versions
       SET taken_by = $3, taken_until = clock_timestamp() + make_interval(secs => $4)
       WHERE projection = $1 AND version = $2
         AND (taken_by = $3 OR taken_until < clock_timestamp())
       RETURNING version`,
      [name, version, holder, seconds],
    );
    return held.length === 1;
  };
  if (!await renew(holdSeconds)) {
    throw new VersionTaken(
      `${name} v${version} is held by another process; one that was killed lets go after ${holdSeconds} s`,
    );
  }
  // A renewal that fails is tried again well before the hold is over.
  const timer = setInterval(() => void renew(holdSeconds).catch(() => {}), holdSeconds * 200);
  return {
    async release() {
      clearInterval(timer);
      await renew(0).catch(() => {});
    },
  };
}

/** Drops what was live before the version that was live before: one is kept to go back to. */
export async function dropOlder(sql: Sql, definition: Definition): Promise<number[]> {
  const { name } = definition;
  const dropped: number[] = [];
  for (const { version, state, live, previous } of await versionsOf(sql, name)) {
    if (live || previous || state !== "kept") continue;
    await dropProjection(sql, name, version);
    await definition.drop?.(version);
    dropped.push(version);
  }
  return dropped;
}
