import assert from "node:assert/strict";
import { given, idOf } from "./given_when_then.ts";
import { mediaDecider, originalKey, parseOriginalKey, variantPrefix } from "./media.ts";

const mediaId = idOf(1);
const ownerId = idOf(2);
const stored = { byteLength: 2_000_000, contentType: "image/jpeg" };
const variant = {
  objectKey: `${variantPrefix(mediaId)}x.webp`,
  width: 150,
  height: 150,
  byteLength: 9000,
  contentType: "image/webp",
};
const made = {
  recipe: 1,
  width: 4000,
  height: 3000,
  placeholder: "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
  variants: { thumbnail: variant, medium: variant, large: variant },
};

const uploaded = {
  type: "MediaUploaded",
  data: { mediaId, ownerId, objectKey: originalKey(ownerId, mediaId), ...stored },
} as const;
const ready = { type: "VariantsReady", data: { mediaId, ownerId, ...made } } as const;
const rejected = {
  type: "MediaRejected",
  data: { mediaId, ownerId, reason: "truncated", detail: "The file ends early." },
} as const;
const purged = {
  type: "MediaPurged",
  data: { mediaId, ownerId, cause: "post-deleted" },
} as const;

Deno.test("media: complete says what the store holds", () => {
  given(mediaDecider).when({ type: "CompleteUpload", mediaId, ownerId, stored }).then(uploaded);
});

Deno.test("media: complete before the upload is refused", () => {
  given(mediaDecider)
    .when({ type: "CompleteUpload", mediaId, ownerId, stored: undefined })
    .thenRefused("media-not-uploaded");
});

Deno.test("media: what the worker made of it is an event, either way", () => {
  given(mediaDecider, uploaded).when({ type: "RecordVariants", mediaId, ownerId, made }).then(
    ready,
  );
  given(mediaDecider, uploaded)
    .when({ type: "Reject", mediaId, ownerId, reason: "truncated", detail: "The file ends early." })
    .then(rejected);
});

Deno.test("media: after a purge nothing brings it back", () => {
  const after = given(mediaDecider, uploaded, ready, purged);
  after.when({ type: "RecordVariants", mediaId, ownerId, made }).then();
  after.when({ type: "Reject", mediaId, ownerId, reason: "corrupt", detail: "x" }).then();
  after.when({ type: "CompleteUpload", mediaId, ownerId, stored })
    .thenRefused("media-not-uploaded");
});

Deno.test("media: a MediaUploaded that comes again takes nothing back", () => {
  assert.deepEqual(given(mediaDecider, uploaded, ready, uploaded).state, { status: "ready" });
  assert.deepEqual(given(mediaDecider, uploaded, purged, ready).state, { status: "purged" });
});

Deno.test("originalKey and parseOriginalKey are inverse; other keys are not ours", () => {
  assert.deepEqual(parseOriginalKey(originalKey(ownerId, mediaId)), { ownerId, mediaId });
  const others = [
    "",
    "originals",
    `originals/${ownerId}`,
    `originals/${ownerId}/${mediaId}/x`,
    `originals/${ownerId}/../${mediaId}`,
    `variants/${ownerId}/${mediaId}`,
    `originals/someone/${mediaId}`,
  ];
  for (const key of others) assert.equal(parseOriginalKey(key), undefined, key);
});
