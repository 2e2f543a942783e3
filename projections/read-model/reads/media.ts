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

/** The manifests of those of the media that are known, in no order. */
export async function manifestsById(
  sql: SqlQueries,
  mediaIds: readonly string[],
): Promise<readonly (Pick<MediaRow, "status" | "manifest"> & { readonly media_id: string })[]> {
  return await sql.query(
    `SELECT media_id, status, manifest FROM manifests.media WHERE media_id = ANY ($1::uuid[])`,
    [mediaIds],
  );
}
