import type { Context } from "../../domain/decision.ts";
import {
  type MediaCommand,
  mediaDecider,
  type MediaEvent,
  type Variant,
  variantPrefix,
} from "../../domain/media.ts";
import { maximumUploadBytes } from "../../domain/values.ts";
import {
  type EncodedImage,
  type ImageProcessor,
  type ProcessedImage,
  Unprocessable,
} from "../../infra/images/port.ts";
import type { ObjectStore } from "../../infra/object-store/port.ts";
import { inSpan } from "../../infra/telemetry/tracing.ts";

const cacheControl = "public, max-age=31536000, immutable";

/** What variants are made from. */
export interface Original {
  readonly mediaId: string;
  readonly ownerId: string;
  readonly objectKey: string;
}

/**
 * Makes and stores the variants of one medium and resolves to what is to be recorded of it: nothing
 * when the original is gone, because the medium was purged.
 *
 * Doing it again writes the same bytes under the same keys. A purge deletes the original first and
 * then lists the variants; here they are written first and then the original is looked for. So in
 * whatever order the two meet, no variant of a purged medium stays.
 */
export async function makeVariants(
  { mediaId, ownerId, objectKey }: Original,
  recipe: number,
  store: ObjectStore,
  processor: ImageProcessor,
  context: Context,
): Promise<readonly MediaEvent[]> {
  const decide = (command: MediaCommand) => {
    const decision = mediaDecider.decide(command, { status: "processing" }, context);
    if (!decision.ok) throw new Error(`refused: ${decision.refusal.detail}`);
    return decision.events;
  };
  let image: ProcessedImage;
  try {
    const original = await fetchOriginal(store, objectKey);
    if (!original) return [];
    const resize = { name: "resize", kind: "internal", attributes: {} } as const;
    image = await inSpan(resize, () => processor.process(original, recipe));
  } catch (error) {
    if (!(error instanceof Unprocessable)) throw error;
    const { reason, detail } = error;
    return decide({ type: "Reject", mediaId, ownerId, reason, detail });
  }
  const { variants: { thumbnail, medium, large }, ...upright } = image;
  const put = (name: string, variant: EncodedImage) =>
    putVariant(store, `${variantPrefix(mediaId)}r${recipe}-${name}`, variant);
  const variants = {
    thumbnail: await put("thumbnail", thumbnail),
    medium: await put("medium", medium),
    large: await put("large", large),
  };
  if (!await store.head(objectKey)) {
    await store.delete(Object.values(variants).map((variant) => variant.objectKey));
    return [];
  }
  const made = { recipe, ...upright, variants };
  return decide({ type: "RecordVariants", mediaId, ownerId, made });
}

/** Undefined when it is not there. @throws {Unprocessable} over `maximumUploadBytes`. */
async function fetchOriginal(store: ObjectStore, key: string): Promise<Uint8Array | undefined> {
  const object = await store.get(key);
  if (!object) return undefined;
  const { head: { byteLength }, body } = object;
  if (byteLength > maximumUploadBytes) {
    await body.cancel();
    const limit = maximumUploadBytes / 1024 / 1024;
    throw new Unprocessable("too-many-bytes", `The file is larger than ${limit} MiB.`);
  }
  const bytes = new Uint8Array(byteLength);
  let filled = 0;
  for await (const chunk of body) {
    if (filled + chunk.length > byteLength) throw new Error(`${key} is longer than it says`);
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < byteLength) throw new Error(`${key} broke off after ${filled} bytes`);
  return bytes;
}

/** The key holds the hash of the content, so an object under it never changes. */
async function putVariant(
  store: ObjectStore,
  prefix: string,
  { bytes, width, height, contentType, extension }: EncodedImage,
): Promise<Variant> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  const hash = new Uint8Array(digest).toHex().slice(0, 16);
  const objectKey = `${prefix}-${hash}.${extension}`;
  await store.put(objectKey, bytes, { contentType, cacheControl });
  return { objectKey, width, height, byteLength: bytes.length, contentType };
}
