import type { SqlQueries } from "../../../infra/sql/port.ts";

export interface MediaRow {
  readonly owner_id: string;
  readonly status: "processing" | "ready" | "rejected" | "purged";
  /** As answers show it, JSON text. */
  readonly manifest: string;
}

/** Undefined for one whose upload was never completed. */
export async function mediumById(
  sql: SqlQueries,
  mediaId: string,
): Promise<MediaRow | undefined> {
  const [row] = await sql.query<MediaRow>(
    `SELECT owner_id, status, manifest FROM manifests.media WHERE media_id = $1`,
    [mediaId],
  );
  return row;
}
