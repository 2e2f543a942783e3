import assert from "node:assert/strict";
import { originalKey } from "../../domain/media.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { type Appended, LogUnavailable, type NewRecord } from "../../infra/event-log/port.ts";
import { signedKeys, SignedUploads } from "./signed-uploads.ts";

/** A log whose appends end when the test says so. */
function heldLog() {
  const appends: (PromiseWithResolvers<Appended[]> & { keys: string[] })[] = [];
  const append = (records: readonly NewRecord[]) => {
    const held = { ...Promise.withResolvers<Appended[]>(), keys: records.flatMap(signedKeys) };
    appends.push(held);
    return held.promise;
  };
  return { appends, uploads: new SignedUploads({ append }) };
}

const anUpload = () => ({ mediaId: newId(), ownerId: newId() });

Deno.test("SignedUploads: what is signed during an append shares the next, and waits for it", async () => {
  const { appends, uploads } = heldLog();
  const signed = Array.from({ length: 451 }, anUpload);
  let noted = 0;
  const noting = signed.map((upload) => uploads.note(upload).then(() => noted++));
  for (const [index, expected] of [1, 201, 401, 451].entries()) {
    assert.equal(appends.length, index + 1, "one is under way at a time");
    appends[index]?.resolve([]);
    await noting[expected - 1];
    assert.equal(noted, expected);
  }
  assert.deepEqual(
    appends.flatMap(({ keys }) => keys),
    signed.map(({ ownerId, mediaId }) => originalKey(ownerId, mediaId)),
  );
});

Deno.test("SignedUploads: a log that fails fails those who waited for it, and no others", async () => {
  const { appends, uploads } = heldLog();
  const [first, second] = [uploads.note(anUpload()), uploads.note(anUpload())];
  appends[0]?.reject(new LogUnavailable("switched off"));
  await assert.rejects(first, LogUnavailable);
  appends[1]?.resolve([]);
  await second;
  const third = uploads.note(anUpload());
  appends[2]?.resolve([]);
  await third;
});
