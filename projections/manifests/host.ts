import type { Sql } from "../../infra/sql/port.ts";
import { dropProjection, ensureControl } from "../runner/control.ts";
import { versionsOf } from "../runner/versions.ts";

/**
 * Drops the manifests when they were made for another host, so that the projector makes them again
 * from the log; resolves to whether it did. One of them tells, since all are made for the same.
 * For a run that has no other to serve from meanwhile, and that keeps nothing of them from the run
 * before. Killed halfway, the next start does it again.
 */
export async function dropWhenHostChanged(
  sql: Sql,
  live: Pick<Sql, "query">,
  cdnBaseUrl: string,
): Promise<boolean> {
  const name = "manifests";
  await ensureControl(sql);
  const versions = await versionsOf(sql, name);
  if (!versions.some((row) => row.live)) return false;
  const [made] = await live.query<{ elsewhere: boolean }>(
    `SELECT NOT starts_with(manifest::json -> 'variants' -> 'large' ->> 'url', $1 || '/') AS elsewhere
     FROM manifests.media WHERE status = 'ready' LIMIT 1`,
    [cdnBaseUrl],
  );
  if (!made?.elsewhere) return false;
  await sql.query("DELETE FROM projections.live WHERE projection = $1", [name]);
  for (const { version } of versions) await dropProjection(sql, name, version);
  return true;
}
