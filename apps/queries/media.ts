import { mediaId as mediaIdSchema } from "../../domain/values.ts";
import { Problem } from "../../infra/http/problem.ts";
import { mediumById } from "../../projections/read-model/reads/media.ts";
import type { QueryServices } from "./services.ts";

/** A ready medium is public; before that, or rejected, it is its owner's; purged, nobody's. */
export async function medium(
  { sql }: QueryServices,
  mediaId: string | undefined,
  viewerId: string | undefined,
): Promise<string> {
  const id = mediaIdSchema.safeParse(mediaId).data;
  const row = id && await mediumById(sql, id);
  const shown = row && row.status !== "purged" &&
    (row.status === "ready" || row.owner_id === viewerId);
  if (!shown) throw new Problem("media-not-found", "no such medium");
  return row.manifest;
}
