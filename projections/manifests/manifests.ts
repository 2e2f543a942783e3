import { type MediaEvent, variantNames } from "../../domain/media.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { Recorded, TransactionalProjection } from "../runner/projection.ts";

/** What stands later here replaces what stands earlier, never the other way round. */
const statuses = ["processing", "rejected", "ready", "purged"] as const;

interface MediaRow {
  readonly media_id: string;
  readonly owner_id: string;
  readonly status: typeof statuses[number];
  readonly recipe: number;
  readonly manifest: string;
}

/**
 * Media id → URLs, sizes and placeholder. Events hold object keys; the host comes in here and nowhere
 * else, so that moving to another CDN is a rebuild of this projection.
 *
 * @param options.cdnBaseUrl where the variants are served from, without a slash at the end.
 */
export function createManifests(options: { cdnBaseUrl: string }): TransactionalProjection {
  return {
    kind: "transactional",
    name: "manifests",
    version: 1,
    topics: ["media"],
    migrations: new URL("migrations/", import.meta.url),
    apply: (events, transaction) => apply(events, transaction, options.cdnBaseUrl),
  };
}

/**
 * A medium only ever moves up, by status and then by recipe: a fact appended a second time finds the
 * row at its own height or above it, and changes nothing.
 */
async function apply(
  recorded: readonly Recorded[],
  transaction: SqlTransaction,
  cdnBaseUrl: string,
): Promise<void> {
  const highest = new Map<string, MediaRow>();
  for (const { event } of recorded) {
    if (!isMediaEvent(event)) continue;
    const row = rowOf(event, cdnBaseUrl);
    const before = highest.get(row.media_id);
    if (!before || isAbove(row, before)) highest.set(row.media_id, row);
  }
  if (highest.size === 0) return;
  await transaction.query(
    `INSERT INTO manifests.media AS m (media_id, owner_id, status, recipe, manifest)
     SELECT * FROM json_to_recordset($1::json)
       AS r (media_id uuid, owner_id uuid, status text, recipe integer, manifest text)
     ON CONFLICT (media_id) DO UPDATE SET
       owner_id = excluded.owner_id,
       status = excluded.status,
       recipe = excluded.recipe,
       manifest = excluded.manifest
     WHERE (array_position($2::text[], excluded.status), excluded.recipe)
         > (array_position($2::text[], m.status), m.recipe)`,
    [JSON.stringify([...highest.values()]), statuses],
  );
}

function isMediaEvent(event: Recorded["event"]): event is MediaEvent {
  return "mediaId" in event.data;
}

function isAbove(a: MediaRow, b: MediaRow): boolean {
  const [rankA, rankB] = [statuses.indexOf(a.status), statuses.indexOf(b.status)];
  return rankA > rankB || (rankA === rankB && a.recipe > b.recipe);
}

function rowOf(event: MediaEvent, cdnBaseUrl: string): MediaRow {
  const { mediaId, ownerId } = event.data;
  const row = (
    status: MediaRow["status"],
    recipe: number,
    shown: Record<string, unknown> = {},
  ) => ({
    media_id: mediaId,
    owner_id: ownerId,
    status,
    recipe,
    manifest: JSON.stringify({ mediaId, status, ...shown }),
  });
  switch (event.type) {
    case "MediaUploaded":
      return row("processing", 0);
    case "MediaRejected": {
      const { reason, detail } = event.data;
      return row("rejected", 0, { reason, detail });
    }
    case "VariantsReady": {
      const { recipe, placeholder, width, height } = event.data;
      const variants = Object.fromEntries(variantNames.map((name) => {
        const { objectKey, width, height, byteLength, contentType } = event.data.variants[name];
        const url = `${cdnBaseUrl}/${objectKey}`;
        return [name, { url, width, height, byteLength, contentType }];
      }));
      return row("ready", recipe, { placeholder, width, height, variants });
    }
    case "MediaPurged":
      return row("purged", 0);
  }
}
