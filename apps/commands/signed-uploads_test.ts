import assert from "node:assert/strict";
import { originalKey } from "../../domain/media.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { type Appended, LogUnavailable, type NewRecord } from "../../infra/event-log/port.ts";
import { signedKeys, SignedUploads } from "./signed-uploads.ts";

type Held = PromiseWithResolvers<Appended[]> & { keys: string[] };

/** A log whose appends end when the test says so. */
function heldLog() {
  const begun: Held[] = [];
  const awaited: ((append: Held) => void)[] = [];
  let underWay = 0;
  const append = (records: readonly NewRecord[]) => {
    assert.equal(++underWay, 1, "one is under way at a time");
    const held = { ...Promise.withResolvers<Appended[]>(), keys: records.flatMap(signedKeys) };
    const tell = awaited.shift();
    if (tell) tell(held);
    else begun.push(held);
    return held.promise.finally(() => underWay--);
  };
  /** The next append, once it has begun. */
  const next = () =>
    new Promise<Held>((resolve) => {
      const held = begun.shift();
      if (held) resolve(held);
      else awaited.push(resolve);
    });
  return { next, uploads: new SignedUploads({ append }) };
}

const anUpload = () => ({ mediaId: newId(), ownerId: newId() });

Deno.test("SignedUploads: what is signed during an append shares the next, and waits for it", async () => {
  const { next, uploads } = heldLog();
  const signed = Array.from({ length: 451 }, anUpload);
  let noted = 0;
  const noting = signed.map((upload) => uploads.note(upload).then(() => noted++));
  const keys: string[] = [];
  for (const expected of [200, 400, 451]) {
    const append = await next();
    keys.push(...append.keys);
    append.resolve([]);
    await noting[expected - 1];
    assert.equal(noted, expected);
  }
  assert.deepEqual(keys, signed.map(({ ownerId, mediaId }) => originalKey(ownerId, mediaId)));
});

Deno.test("SignedUploads: as long as every turn brings another, they share one record", async () => {
  const { next, uploads } = heldLog();
  const noting: Promise<void>[] = [];
  const oneATurn = () => {
    if (noting.length < 4) setImmediate(oneATurn);
    noting.push(uploads.note(anUpload()));
  };
  oneATurn();
  const append = await next();
  assert.equal(append.keys.length, 5);
  append.resolve([]);
  await Promise.all(noting);
});

Deno.test("SignedUploads: a log that fails fails those who waited for it, and no others", async () => {
  const { next, uploads } = heldLog();
  const first = uploads.note(anUpload());
  const failing = await next();
  const second = uploads.note(anUpload());
  failing.reject(new LogUnavailable("switched off"));
  await assert.rejects(first, LogUnavailable);
  (await next()).resolve([]);
  await second;
  const third = uploads.note(anUpload());
  (await next()).resolve([]);
  await third;
});
