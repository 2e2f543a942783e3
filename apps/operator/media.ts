import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { accountId, mediaId } from "../../domain/values.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { recipe as current, recipeNumbers } from "../../infra/images/recipe.ts";
import {
  countMediaOlderThan,
  madeMedia,
  mediaOlderThan,
} from "../../projections/read-model/reads/media.ts";
import {
  outcomeOf,
  type RegenerationOutcome,
  regenerationRecord,
  regenerations,
  regenerationTopics,
} from "../image-worker/regeneration-records.ts";
import { operation, type OperatorEngines, Refused, type Told } from "./operation.ts";

/** Media asked for and not yet answered, at most: what a task that ends leaves to the workers. */
const window = 256;
/** Milliseconds between two looks for answers. */
const interval = 200;
/** Milliseconds without any answer after which nobody seems to be at work. */
const patience = 120_000;
/** Media that could not be made, named in the answer. */
const maximumNamed = 1_000;

/** A medium that was not made again, and why. */
export interface Unmade {
  readonly mediaId: string;
  readonly why:
    | Exclude<RegenerationOutcome["outcome"], "made">
    | "unknown"
    | "processing"
    | "purged";
  readonly detail?: string;
}

interface Target {
  readonly mediaId: string;
  readonly ownerId: string;
}

/** What `deno task media` asks. */
export const mediaOperations = {
  "media.regenerate": operation({
    input: z.object({
      recipe: z.int().optional(),
      mediaIds: z.array(mediaId).optional(),
      ownerId: accountId.optional(),
    }),
    run: async (engines, { recipe = current, mediaIds, ownerId }, told) => {
      if (!recipeNumbers.includes(recipe)) {
        throw new Refused(`there is no recipe ${recipe}: ${recipeNumbers.join(", ")} are known`);
      }
      const { live } = engines;
      const unmade: Unmade[] = [];
      let already = 0;
      let targets: AsyncIterable<Target[]> | Target[][];
      let of: number;
      if (mediaIds) {
        const named = await whichOf(engines, [...new Set(mediaIds)], recipe);
        unmade.push(...named.unmade);
        ({ already } = named);
        targets = [named.targets];
        of = named.targets.length;
      } else {
        targets = older(engines, recipe, ownerId);
        of = await countMediaOlderThan(live, recipe, ownerId);
      }
      const made = await askForAll(engines.log, recipe, targets, {
        ...told,
        of,
        onUnmade: (one) => unmade.push(one),
      });
      return {
        recipe,
        made,
        already,
        unmade: unmade.slice(0, maximumNamed),
        unmadeCount: unmade.length,
      };
    },
  }),
};

async function whichOf(
  { live }: OperatorEngines,
  mediaIds: readonly string[],
  recipe: number,
): Promise<{ targets: Target[]; unmade: Unmade[]; already: number }> {
  const rows = new Map((await madeMedia(live, mediaIds)).map((row) => [row.media_id, row]));
  const targets: Target[] = [];
  const unmade: Unmade[] = [];
  let already = 0;
  for (const mediaId of mediaIds) {
    const row = rows.get(mediaId);
    if (row?.status !== "ready") unmade.push({ mediaId, why: row?.status ?? "unknown" });
    else if (row.recipe >= recipe) already++;
    else targets.push({ mediaId, ownerId: row.owner_id });
  }
  return { targets, unmade, already };
}

async function* older(
  { live }: OperatorEngines,
  recipe: number,
  ownerId: string | undefined,
): AsyncGenerator<Target[]> {
  for (let after = "00000000-0000-0000-0000-000000000000";;) {
    const rows = await mediaOlderThan(live, recipe, ownerId, after, window);
    const last = rows.at(-1);
    if (!last) return;
    yield rows.map(({ media_id, owner_id }) => ({ mediaId: media_id, ownerId: owner_id }));
    after = last.media_id;
  }
}

/**
 * Asks the image workers for one medium after the other, so many at a time, and counts their answers
 * in the log. Nothing of it is remembered: called off or killed, it leaves what it has asked for to the
 * workers, and whoever asks again goes on with the media whose manifests are still of an earlier recipe.
 * What is asked for twice is made twice, to the same keys.
 */
async function askForAll(
  log: Pick<EventLog, "append" | "read" | "watermarks" | "ensureTopics">,
  recipe: number,
  targets: AsyncIterable<Target[]> | Target[][],
  { of, signal, onStep, onUnmade }: Told & {
    of: number;
    onUnmade(one: Unmade): void;
  },
): Promise<number> {
  await log.ensureTopics(regenerationTopics);
  const next = new Map(
    (await log.watermarks([regenerations])).map(({ partition, high }) => [partition, high]),
  );
  const asked = new Set<string>();
  let [made, done] = [0, 0];

  const hear = async (): Promise<void> => {
    for (const { partition, high } of await log.watermarks([regenerations])) {
      const from = next.get(partition) ?? 0;
      if (from >= high) continue;
      for await (const batch of log.read({ topic: regenerations, partition }, from, { signal })) {
        for (const record of batch) {
          const said = outcomeOf(record);
          if (said?.recipe !== recipe || !asked.delete(said.mediaId)) continue;
          done++;
          const { mediaId, outcome, detail } = said;
          if (outcome === "made") made++;
          else onUnmade({ mediaId, why: outcome, ...(detail !== undefined && { detail }) });
        }
        next.set(partition, (batch.at(-1)?.offset ?? from) + 1);
      }
    }
  };

  /** Until no more than so many are unanswered. */
  const until = async (unanswered: number): Promise<void> => {
    let heard = done;
    let since = performance.now();
    while (asked.size > unanswered) {
      signal.throwIfAborted();
      await hear();
      if (done > heard) [heard, since] = [done, performance.now()];
      const silent = performance.now() - since;
      if (silent > patience) {
        throw new Refused(
          `no image worker has answered for ${Math.round(silent / 1000)} s; ${asked.size} media ` +
            `remain asked for. Start one (deno task dev, deno task image-worker) and ask again`,
        );
      }
      onStep({ what: "media", done, of: Math.max(of, done + asked.size) });
      if (asked.size > unanswered) await delay(interval, undefined, { signal }).catch(() => {});
    }
  };

  for await (const page of targets) {
    signal.throwIfAborted();
    for (const { mediaId } of page) asked.add(mediaId);
    await log.append(
      page.map((target) => regenerationRecord({ ask: "regenerate", ...target, recipe })),
    );
    // The next page is asked for while the workers still have some of this one.
    await until(window / 4);
  }
  await until(0);
  return made;
}
