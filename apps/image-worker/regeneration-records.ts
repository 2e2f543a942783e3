import { z } from "zod";
import { partitionCount } from "../../domain/event.ts";
import { accountId, mediaId } from "../../domain/values.ts";
import type { LogRecord, NewRecord, TopicSpec } from "../../infra/event-log/port.ts";
import { lane } from "../lane-topics.ts";

/** Media whose variants are to be made again, and what became of each. Beside the facts. */
export const regenerations = "media-regenerations";

/** Media with variants of a recipe that has been followed by another: they are to go. Beside the facts. */
export const retirements = "variant-retirements";

/** Milliseconds: longer than anyone works on a regeneration. */
const retentionMs = 7 * 24 * 60 * 60 * 1000;

/** What makes variants is shared by as many workers as uploads are. */
export const regenerationTopics: readonly TopicSpec[] = [
  { ...lane(regenerations, retentionMs), partitions: partitionCount },
  lane(retirements, retentionMs),
];

const medium = { mediaId, ownerId: accountId, recipe: z.int().positive() };

/** Make this medium's variants again, by this recipe. */
const request = z.strictObject({ ask: z.literal("regenerate"), ...medium });
export type RegenerationRequest = z.infer<typeof request>;

/**
 * - `made`: VariantsReady was appended.
 * - `gone`: the store holds no original.
 * - `rejected`: the recipe can do nothing with the original; the variants there were stay.
 * - `failed`: it failed three times, for a reason that may pass.
 */
const outcome = z.strictObject({
  outcome: z.enum(["made", "gone", "rejected", "failed"]),
  detail: z.string().optional(),
  ...medium,
});
export type RegenerationOutcome = z.infer<typeof outcome>;

const retirement = z.strictObject({
  mediaId,
  ownerId: accountId,
  /** Where in the log the VariantsReady lies that others follow on. */
  at: z.strictObject({
    topic: z.string(),
    partition: z.int().nonnegative(),
    offset: z.int().nonnegative(),
  }),
});
export type Retirement = z.infer<typeof retirement>;

export function regenerationRecord(said: RegenerationRequest | RegenerationOutcome): NewRecord {
  return { topic: regenerations, key: said.mediaId, value: JSON.stringify(said), headers: {} };
}

export function retirementRecord(retired: Retirement): NewRecord {
  return { topic: retirements, key: retired.mediaId, value: JSON.stringify(retired), headers: {} };
}

/** Undefined for anything else that lies there. */
export const requestOf = reader(request);
export const outcomeOf = reader(outcome);
export const retirementOf = reader(retirement);

function reader<Schema extends z.ZodType>(schema: Schema) {
  return ({ value }: Pick<LogRecord, "value">): z.infer<Schema> | undefined => {
    try {
      return schema.safeParse(JSON.parse(value)).data;
    } catch {
      return undefined;
    }
  };
}
