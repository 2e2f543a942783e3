import type { SqlQueries } from "../../../infra/sql/port.ts";

/** How a viewer stands to other accounts. */
export interface Relations {
  readonly following: ReadonlySet<string>;
  readonly blocking: ReadonlySet<string>;
  readonly blockedBy: ReadonlySet<string>;
}

export async function relationsTo(
  sql: SqlQueries,
  viewerId: string,
  accountIds: readonly string[],
): Promise<Relations> {
  const [row] = await sql.query<{ following: string[]; blocking: string[]; blocked_by: string[] }>(
    `SELECT
       ARRAY(
         SELECT followee_id FROM read_model.follows
         WHERE follower_id = $1 AND followee_id = ANY ($2::uuid[])
       ) AS following,
       ARRAY(
         SELECT blocked_id FROM read_model.blocks
         WHERE blocker_id = $1 AND blocked_id = ANY ($2::uuid[])
       ) AS blocking,
       ARRAY(
         SELECT blocker_id FROM read_model.blocks
         WHERE blocked_id = $1 AND blocker_id = ANY ($2::uuid[])
       ) AS blocked_by`,
    [viewerId, accountIds],
  );
  return {
    following: new Set(row?.following),
    blocking: new Set(row?.blocking),
    blockedBy: new Set(row?.blocked_by),
  };
}
