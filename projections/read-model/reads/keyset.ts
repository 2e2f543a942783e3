/** Above every id: where the first page of a list that begins with the newest starts. */
export const newest = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/**
 * The condition that no block stands between an account and the viewer, either way round. Both are
 * SQL expressions; a viewer of NULL, who is not signed in, is blocked by nobody.
 */
export function unblocked(accountId: string, viewerId: string): string {
  return `NOT EXISTS (
      SELECT FROM read_model.blocks
      WHERE blocker_id = ${accountId} AND blocked_id = ${viewerId}
    ) AND NOT EXISTS (
      SELECT FROM read_model.blocks
      WHERE blocker_id = ${viewerId} AND blocked_id = ${accountId}
    )`;
}
