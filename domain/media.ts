import { z } from "zod";
import {
  accept,
  type Context,
  type Decider,
  type Decision,
  refuse,
  unreachable,
} from "./decision.ts";
import { defineEvent, type EventOf } from "./event.ts";
import { accountId, mediaId } from "./values.ts";

/** Pixel bounds of the variants: thumbnail a square; the others a width, at most twice as tall. */
export const variantWidths = { thumbnail: 150, medium: 600, large: 1080 } as const;
export type VariantName = keyof typeof variantWidths;
export const variantNames = ["thumbnail", "medium", "large"] as const satisfies VariantName[];

/** Refused before decoding. */
export const maximumPixels = 100_000_000;

/**
 * Where an original lies in the store. The owner's id is in the key, so one HEAD answers both
 * whether a medium is really there and whether it is this account's.
 */
export function originalKey(ownerId: string, mediaId: string): string {
  return `originals/${ownerId}/${mediaId}`;
}

/** The inverse of `originalKey`; undefined for any other key. */
export function parseOriginalKey(key: string): { ownerId: string; mediaId: string } | undefined {
  const [folder, owner, media, ...rest] = key.split("/");
  if (folder !== "originals" || rest.length > 0) return undefined;
  const ownerId = accountId.safeParse(owner);
  const parsed = mediaId.safeParse(media);
  if (!ownerId.success || !parsed.success) return undefined;
  return { ownerId: ownerId.data, mediaId: parsed.data };
}

/** All variants of a medium lie under this prefix, so that they can be found to be purged. */
export function variantPrefix(mediaId: string): string {
  return `variants/${mediaId}/`;
}

// Events

export const MediaUploaded = defineEvent({
  name: "MediaUploaded",
  version: 1,
  topic: "media",
  schema: z.strictObject({
    mediaId,
    ownerId: accountId,
    objectKey: z.string().min(1),
    /** As the client declared it; the worker trusts the bytes instead. */
    contentType: z.string(),
    byteLength: z.int().nonnegative(),
  }),
  key: (data) => data.mediaId,
});

export const variant = z.strictObject({
  objectKey: z.string().min(1),
  width: z.int().positive(),
  height: z.int().positive(),
  byteLength: z.int().positive(),
  contentType: z.string(),
});
export type Variant = z.infer<typeof variant>;

export const VariantsReady = defineEvent({
  name: "VariantsReady",
  version: 1,
  topic: "media",
  schema: z.strictObject({
    mediaId,
    ownerId: accountId,
    /** The version of the recipe that made them. */
    recipe: z.int().positive(),
    /** Pixels of the original, upright. */
    width: z.int().positive(),
    height: z.int().positive(),
    /** Base64 thumbhash (https://evanw.github.io/thumbhash/). */
    placeholder: z.string(),
    variants: z.strictObject({ thumbnail: variant, medium: variant, large: variant }),
  }),
  key: (data) => data.mediaId,
});

export const rejectionReason = z.enum([
  "empty",
  "not-an-image",
  "unsupported-format",
  "too-many-bytes",
  "too-many-pixels",
  "truncated",
  "corrupt",
]);
export type RejectionReason = z.infer<typeof rejectionReason>;

/** These bytes can never become variants. */
export const MediaRejected = defineEvent({
  name: "MediaRejected",
  version: 1,
  topic: "media",
  schema: z.strictObject({
    mediaId,
    ownerId: accountId,
    reason: rejectionReason,
    /** One sentence for the person who uploaded it. */
    detail: z.string(),
  }),
  key: (data) => data.mediaId,
});

/** Original and variants were removed from the store and purged at the edge. */
export const MediaPurged = defineEvent({
  name: "MediaPurged",
  version: 1,
  topic: "media",
  schema: z.strictObject({
    mediaId,
    ownerId: accountId,
    cause: z.enum(["post-deleted", "account-closed"]),
  }),
  key: (data) => data.mediaId,
});

export const mediaEvents = [MediaUploaded, VariantsReady, MediaRejected, MediaPurged] as const;
export type MediaEvent = EventOf<typeof mediaEvents[number]>;

// State

export type Medium = {
  readonly status: "unknown" | "processing" | "ready" | "rejected" | "purged";
};

function evolve(medium: Medium, event: MediaEvent): Medium {
  if (medium.status === "purged") return medium;
  switch (event.type) {
    case "MediaUploaded":
      return medium.status === "unknown" ? { status: "processing" } : medium;
    case "VariantsReady":
      return { status: "ready" };
    case "MediaRejected":
      return { status: "rejected" };
    case "MediaPurged":
      return { status: "purged" };
    default:
      return unreachable(event);
  }
}

// Decisions

/** What a HEAD on the store says of an object. */
export interface StoredObject {
  readonly byteLength: number;
  readonly contentType: string;
}

type VariantsMade = Omit<z.infer<typeof VariantsReady.schema>, "mediaId" | "ownerId">;

export type MediaCommand =
  & { readonly mediaId: string; readonly ownerId: string }
  & (
    | { readonly type: "CompleteUpload"; readonly stored: StoredObject | undefined }
    | { readonly type: "RecordVariants"; readonly made: VariantsMade }
    | { readonly type: "Reject"; readonly reason: RejectionReason; readonly detail: string }
    | { readonly type: "RecordPurge"; readonly cause: "post-deleted" | "account-closed" }
  );

function decide(command: MediaCommand, medium: Medium, context: Context): Decision<MediaEvent> {
  const envelope = () => ({ id: context.nextId(), time: context.now });
  const { mediaId, ownerId } = command;
  switch (command.type) {
    case "CompleteUpload": {
      if (!command.stored || medium.status === "purged") {
        return refuse("media-not-uploaded", "the store holds no such upload of yours");
      }
      const objectKey = originalKey(ownerId, mediaId);
      const data = { mediaId, ownerId, objectKey, ...command.stored };
      return accept({ ...envelope(), type: "MediaUploaded", data });
    }
    case "RecordVariants":
      if (medium.status === "purged") return accept();
      return accept({
        ...envelope(),
        type: "VariantsReady",
        data: { mediaId, ownerId, ...command.made },
      });
    case "Reject": {
      if (medium.status === "purged") return accept();
      const { reason, detail } = command;
      return accept({
        ...envelope(),
        type: "MediaRejected",
        data: { mediaId, ownerId, reason, detail },
      });
    }
    case "RecordPurge":
      return accept({
        ...envelope(),
        type: "MediaPurged",
        data: { mediaId, ownerId, cause: command.cause },
      });
    default:
      return unreachable(command);
  }
}

export const mediaDecider: Decider<Medium, MediaCommand, MediaEvent> = {
  initialState: { status: "unknown" },
  decide,
  evolve,
};
