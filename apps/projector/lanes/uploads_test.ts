import assert from "node:assert/strict";
import type { DomainEvent } from "../../../domain/events.ts";
import { originalKey } from "../../../domain/media.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import type { NewRecord } from "../../../infra/event-log/port.ts";
import type { ObjectStore } from "../../../infra/object-store/port.ts";
import { metrics } from "../../../infra/telemetry/metrics.ts";
import { SignedUploads } from "../../commands/signed-uploads.ts";
import { openWorld, type World } from "../testing.ts";
import { until } from "../testing_until.ts";
import { createdKeys, notificationLane, signedUploadLane, storeNotifications } from "./uploads.ts";

const twentyFiveMinutes = 25 * 60 * 1000;
const jpeg = { contentType: "image/jpeg" };
const envelope = () => ({ id: newId(), time: new Date().toISOString() });

interface Upload {
  readonly mediaId: string;
  readonly ownerId: string;
}

async function signed(world: World, count: number): Promise<Upload[]> {
  const uploads = Array.from({ length: count }, () => ({ mediaId: newId(), ownerId: newId() }));
  const notes = new SignedUploads(world.log);
  await Promise.all(uploads.map((upload) => notes.note(upload)));
  return uploads;
}

function put(store: ObjectStore, { ownerId, mediaId }: Upload, byteLength = 5): Promise<void> {
  return store.put(originalKey(ownerId, mediaId), new Uint8Array(byteLength), jpeg);
}

function uploaded({ mediaId, ownerId }: Upload): DomainEvent {
  const objectKey = originalKey(ownerId, mediaId);
  const data = { mediaId, ownerId, objectKey, contentType: "image/jpeg", byteLength: 5 };
  return { ...envelope(), type: "MediaUploaded", data };
}

async function uploadedEvents(world: World) {
  return (await world.events()).flatMap((event) =>
    event.type === "MediaUploaded" ? [event.data] : []
  );
}

/** Resolves once all that is in a lane's topic has been passed. */
async function passed(world: World, topic: string): Promise<void> {
  const highs = (await world.log.watermarks([topic])).reduce((sum, { high }) => sum + high, 0);
  await until(`${topic} is worked off`, async () => {
    const [row] = await world.sql.query<{ next: number }>(
      "SELECT sum(next_offset)::integer AS next FROM lanes.cursors WHERE topic = $1",
      [topic],
    );
    return row?.next === highs;
  });
}

async function counted(outcome: string, source: string): Promise<number> {
  const metric = await metrics.getSingleMetric("shutterlog_swept_uploads_total")?.get();
  return metric?.values.find(({ labels }) => labels.outcome === outcome && labels.source === source)
    ?.value ?? 0;
}

Deno.test("signedUploadLane: what was uploaded and never said to be done becomes MediaUploaded", async () => {
  const asked: string[] = [];
  await using world = await openWorld();
  const store: ObjectStore = {
    ...world.store,
    head: (key) => (asked.push(key), world.store.head(key)),
  };
  const [done, silent, broken, never] = await signed(world, 4);
  assert(done && silent && broken && never);
  for (const upload of [done, silent]) await put(world.store, upload);
  // As a store leaves it that keeps what came: to be judged by the worker.
  await put(world.store, broken, 2);
  await world.append(uploaded(done));
  const before = [await counted("completed", "signature"), await counted("absent", "signature")];

  const lane = signedUploadLane({ ...world.services, store });
  await world.onLane(lane, () => passed(world, lane.topic), twentyFiveMinutes);
  const events = await uploadedEvents(world);
  assert.deepEqual(
    new Map(events.map((event) => [event.mediaId, event])),
    new Map([[done, 5], [silent, 5], [broken, 2]].map(([upload, byteLength]) => {
      const { mediaId, ownerId } = upload as Upload;
      const objectKey = originalKey(ownerId, mediaId);
      return [mediaId, { mediaId, ownerId, objectKey, contentType: "image/jpeg", byteLength }];
    })),
  );
  assert.equal(events.length, 3, "and each once");
  assert(
    !asked.includes(originalKey(done.ownerId, done.mediaId)),
    "what has its event costs no HEAD",
  );
  assert.equal(asked.length, 3);
  const after = [await counted("completed", "signature"), await counted("absent", "signature")];
  assert.deepEqual(after.map((count, index) => count - (before[index] ?? 0)), [2, 1]);
});

Deno.test("signedUploadLane: while it can still be uploaded, its client is given its time", async () => {
  await using world = await openWorld();
  const [upload] = await signed(world, 1);
  assert(upload);
  await put(world.store, upload);
  const lane = signedUploadLane(world.services);
  await world.onLane(lane, world.visited, twentyFiveMinutes - 60_000);
  assert.deepEqual(await uploadedEvents(world), []);
  await world.onLane(lane, () => passed(world, lane.topic), twentyFiveMinutes);
  assert.equal((await uploadedEvents(world)).length, 1);
});

Deno.test("signedUploadLane: waits for projections that have not seen what the log holds", async () => {
  await using world = await openWorld();
  const [upload] = await signed(world, 1);
  assert(upload);
  await put(world.store, upload);
  let looks = 0;
  let caughtUp = false;
  const progress = { reached: () => (looks++, Promise.resolve(caughtUp)) };
  const lane = signedUploadLane({ ...world.services, progress });
  await world.onLane(lane, async () => {
    await until("it has looked more than once", () => looks > 2);
    assert.deepEqual(await uploadedEvents(world), []);
    caughtUp = true;
    await passed(world, lane.topic);
  }, twentyFiveMinutes);
  assert.equal((await uploadedEvents(world)).length, 1);
});

Deno.test("signedUploadLane: what came for an account that was closed meanwhile is removed", async () => {
  await using world = await openWorld();
  const [upload] = await signed(world, 1);
  assert(upload);
  await put(world.store, upload);
  const { ownerId: accountId } = upload;
  await world.append({ ...envelope(), type: "AccountClosed", data: { accountId } });
  const lane = signedUploadLane(world.services);
  await world.onLane(lane, () => passed(world, lane.topic), twentyFiveMinutes);
  assert.deepEqual(await uploadedEvents(world), []);
  assert.equal(await world.store.head(originalKey(accountId, upload.mediaId)), undefined);
});

Deno.test("notificationLane: an upload that the store tells of becomes MediaUploaded", async () => {
  await using world = await openWorld();
  const [told, done] = await signed(world, 2);
  assert(told && done);
  for (const upload of [told, done]) await put(world.store, upload);
  await world.append(uploaded(done));
  const keys = [told, done].map(({ ownerId, mediaId }) => originalKey(ownerId, mediaId));
  await world.log.append([
    ...keys.map((key) => notification("s3:ObjectCreated:Put", key)),
    notification("s3:ObjectCreated:Put", "variants/m/large.webp"),
    { topic: storeNotifications, key: "", value: `{"Event":"s3:TestEvent"}`, headers: {} },
    { topic: storeNotifications, key: "", value: "not JSON", headers: {} },
  ]);
  const lane = notificationLane(world.services);
  await world.onLane(lane, () => passed(world, lane.topic), 15_000);
  const events = await uploadedEvents(world);
  assert.deepEqual(
    events.map(({ mediaId }) => mediaId).sort(),
    [told.mediaId, done.mediaId].sort(),
  );
});

Deno.test("createdKeys: takes Amazon's notifications and versitygw's, of creations alone", () => {
  for (const eventName of ["ObjectCreated:Put", "s3:ObjectCreated:Put"]) {
    assert.deepEqual(createdKeys(notification(eventName, "originals/o/m")), ["originals/o/m"]);
  }
  assert.deepEqual(createdKeys(notification("s3:ObjectRemoved:Delete", "originals/o/m")), []);
});

function notification(eventName: string, key: string): NewRecord {
  const s3 = { s3SchemaVersion: "1.0", bucket: { name: "b" }, object: { key, size: 5 } };
  const value = JSON.stringify({ Records: [{ eventVersion: "2.2", eventName, s3 }] });
  return { topic: storeNotifications, key: "", value, headers: {} };
}
