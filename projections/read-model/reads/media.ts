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

/** The recipe whose variants are shown, of those of these media that have any. */
export async function liveRecipes(
  sql: SqlQueries,
  mediaIds: readonly string[],
): Promise<Map<string, number>> {
  const rows = await sql.query<{ media_id: string; recipe: number }>(
    `SELECT media_id, recipe FROM manifests.media
     WHERE media_id = ANY ($1::uuid[]) AND status = 'ready'`,
    [mediaIds],
  );
  return new Map(rows.map(({ media_id, recipe }) => [media_id, recipe]));
}

export interface MadeMedium {
  readonly media_id: string;
  readonly owner_id: string;
  readonly status: MediaRow["status"];
  readonly recipe: number;
}

/** These media as they stand, in no order. */
export async function madeMedia(
  sql: SqlQueries,
  mediaIds: readonly string[],
): Promise<readonly MadeMedium[]> {
  return await sql.query(
    `SELECT media_id, owner_id, status, recipe FROM manifests.media WHERE media_id = ANY ($1::uuid[])`,
    [mediaIds],
  );
}

const olderThan = `FROM manifests.media
  WHERE status = 'ready' AND recipe < $1 AND ($2::uuid IS NULL OR owner_id = $2)`;

/** Media, an account's when one is named, whose variants were made by an earlier recipe: by id. */
export async function mediaOlderThan(
  sql: SqlQueries,
  recipe: number,
  ownerId: string | undefined,
  after: string,
  limit: number,
): Promise<readonly Pick<MadeMedium, "media_id" | "owner_id">[]> {
  return await sql.query(
    `SELECT media_id, owner_id ${olderThan} AND media_id > $3 ORDER BY media_id LIMIT $4`,
    [recipe, ownerId ?? null, after, limit],
  );
}

export async function countMediaOlderThan(
  sql: SqlQueries,
  recipe: number,
  ownerId: string | undefined,
): Promise<number> {
  const [row] = await sql.query<{ media: number }>(
    `SELECT count(*) AS media ${olderThan}`,
    [recipe, ownerId ?? null],
  );
  return row?.media ?? 0;
}
