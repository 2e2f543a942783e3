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

/** Those of these media that have an event. */
export async function knownMedia(sql: SqlQueries, mediaIds: readonly string[]): Promise<string[]> {
  const rows = await sql.query<{ media_id: string }>(
    `SELECT media_id FROM manifests.media WHERE media_id = ANY ($1::uuid[])`,
    [mediaIds],
  );
  return rows.map((row) => row.media_id);
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
