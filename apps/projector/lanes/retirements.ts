import { variantPrefix } from "../../../domain/media.ts";
import { liveRecipes } from "../../../projections/read-model/reads/media.ts";
import { retirementOf, retirements } from "../../image-worker/regeneration-records.ts";
import type { Lane } from "./lane.ts";
import { type PurgeServices, purgeVariants } from "./purges.ts";

/** Milliseconds that variants outlive their manifest: for pages that were shown with it. */
const graceMs = 30_000;

/**
 * Takes the variants of a former recipe out of the store and the edge once nobody is shown them: the
 * manifests and the cards have passed the event that the new ones are in, and a page has had its time.
 *
 * What is kept is what the manifest names, and whatever was made by a later recipe still. Keys bear
 * their medium and recipe, so nobody else's are among those deleted.
 */
export function retirementLane(services: PurgeServices): Lane {
  const { sql, store, progress, logger } = services;
  return {
    topic: retirements,
    delayMs: graceMs,
    intervalMs: 5_000,
    batchSize: 100,
    async handle(records) {
      const retired = records.flatMap((record) => retirementOf(record) ?? []);
      const position = retired.map(({ at }) => at);
      if (!await progress.reached(position, ["manifests", "cards"], projectionsTurn)) {
        throw new Error("variants are retired once the manifests have passed those that follow");
      }
      const recipes = await liveRecipes(sql, retired.map(({ mediaId }) => mediaId));
      for (const { mediaId, ownerId } of retired) {
        const live = recipes.get(mediaId);
        if (live === undefined) continue;
        const keys: string[] = [];
        for await (const { key } of store.list(variantPrefix(mediaId))) {
          const made = recipeOf(key);
          if (made !== undefined && made < live) keys.push(key);
        }
        if (keys.length === 0) continue;
        await purgeVariants({ mediaId, ownerId, keys }, services);
        logger.info("variants retired", { mediaId, recipe: live, objects: keys.length });
      }
    },
  };
}

/** The recipe that made the object under a key; undefined where the key does not say. */
function recipeOf(key: string): number | undefined {
  const digits = /\/r(\d+)-[^/]*$/.exec(key)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Milliseconds that a visit waits for the projections. */
const projectionsTurn = 5_000;
