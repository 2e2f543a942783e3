import type { Sql } from "../../infra/sql/port.ts";
import { dropProjection } from "../runner/control.ts";
import type { Projection } from "../runner/projection.ts";

/**
 * Drops the manifests when they were made for another host, so that the projector makes them again
 * from the log; resolves to whether it did. One of them tells, since all are made for the same.
 * For a run that has no other to serve from meanwhile. Killed halfway, the next start does it again.
 */
export async function dropWhenHostChanged(
  sql: Sql,
  queries: Pick<Sql, "query">,
  { name, version }: Pick<Projection, "name" | "version">,
  cdnBaseUrl: string,
): Promise<boolean> {
  const [made] = await queries.query<{ elsewhere: boolean }>(
    `SELECT NOT starts_with(manifest::json -> 'variants' -> 'large' ->> 'url', $1 || '/') AS elsewhere
     FROM manifests.media WHERE status = 'ready' LIMIT 1`,
    [cdnBaseUrl],
  );
  if (!made?.elsewhere) return false;
  await sql.query("DELETE FROM projections.live WHERE projection = $1", [name]);
  await dropProjection(sql, name, version);
  return true;
}
