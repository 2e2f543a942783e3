import assert from "node:assert/strict";
import type { DomainEvent } from "../../../domain/events.ts";
import { originalKey, variantPrefix } from "../../../domain/media.ts";
import { createIsolatedProcessor } from "../../../infra/images/isolated.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { drawPhoto } from "../../../scripts/photos/photo.ts";
import {
  outcomeOf,
  regenerationRecord,
  regenerations,
  regenerationTopics,
} from "../../image-worker/regeneration-records.ts";
import { startImageWorker } from "../../image-worker/worker.ts";
import { openWorld, type World } from "../testing.ts";
import { until } from "../testing_until.ts";
import { retirementLane } from "./retirements.ts";

const ownerId = newId();

async function upload(world: World, seed: number): Promise<DomainEvent> {
  const mediaId = newId();
  const { bytes } = await drawPhoto({ seed, size: { width: 1300, height: 900 } });
  const objectKey = originalKey(ownerId, mediaId);
  await world.store.put(objectKey, bytes, { contentType: "image/jpeg" });
  const data = { mediaId, ownerId, objectKey, contentType: "image/jpeg", byteLength: bytes.length };
  return { id: newId(), time: new Date().toISOString(), type: "MediaUploaded", data };
}

async function keysOf(world: World, mediaId: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of world.store.list(variantPrefix(mediaId))) keys.push(key);
  return keys;
}

async function outcomes(world: World) {
  const said = [];
  for (const { partition } of await world.log.watermarks([regenerations])) {
    for await (const batch of world.log.read({ topic: regenerations, partition }, 0)) {
      said.push(...batch.flatMap((record) => outcomeOf(record) ?? []));
    }
  }
  return said;
}

Deno.test("regeneration: new variants are shown first, and the old ones go when a page has had its time", async () => {
  await using world = await openWorld();
  await world.log.ensureTopics(regenerationTopics);
  await using processor = createIsolatedProcessor({ processes: 1, logger: silentLogger });
  const options = { processor, logger: silentLogger, now: () => new Date(), newId };
  const worker = await startImageWorker({ log: world.log, store: world.store, ...options });
  try {
    const uploads = [await upload(world, 1), await upload(world, 2), await upload(world, 3)];
    const ids = uploads.map(({ data }) => "mediaId" in data ? data.mediaId : "");
    const [kept = "", gone = "", broken = ""] = ids;
    await world.append(...uploads);
    const manifest = async (mediaId: string) => {
      const [row] = await world.services.sql.query<{ recipe: number; manifest: string }>(
        "SELECT recipe, manifest FROM manifests.media WHERE media_id = $1 AND status = 'ready'",
        [mediaId],
      );
      return row;
    };
    for (const id of ids) {
      await until("it is ready", async () => await manifest(id) !== undefined);
    }
    const before = await keysOf(world, kept);
    const [old, oldOfBroken] = [await manifest(kept), await manifest(broken)];
    await world.store.delete([originalKey(ownerId, gone)]);
    await world.store.put(originalKey(ownerId, broken), new Uint8Array(9), { contentType: "x" });

    const ask = (recipe: number) =>
      world.log.append(
        ids.map((mediaId) => regenerationRecord({ ask: "regenerate", mediaId, ownerId, recipe })),
      );
    await ask(2);
    await until("all are answered", async () => (await outcomes(world)).length === 3);
    const said = new Map((await outcomes(world)).map((one) => [one.mediaId, one]));
    assert.equal(said.get(kept)?.outcome, "made");
    assert.equal(said.get(gone)?.outcome, "gone");
    assert.equal(said.get(broken)?.outcome, "rejected");
    assert.match(said.get(broken)?.detail ?? "", /^[A-Z].*\.$/);

    await until("the new ones are shown", async () => (await manifest(kept))?.recipe === 2);
    const shown = JSON.parse((await manifest(kept))?.manifest ?? "");
    const largeBefore = JSON.parse(old?.manifest ?? "").variants.large;
    assert.equal(shown.variants.large.width, largeBefore.width);
    assert.ok(shown.variants.large.byteLength < largeBefore.byteLength);
    assert.deepEqual(await manifest(broken), oldOfBroken, "it keeps what it has");

    const lane = retirementLane(world.services);
    await world.onLane(lane, world.visited);
    assert.equal((await keysOf(world, kept)).length, 6, "a page may still show the old ones");
    const left = async () => (await keysOf(world, kept)).filter((key) => before.includes(key));
    await world.onLane(
      lane,
      () => until("the old ones go", async () => (await left()).length === 0),
      30_000,
    );
    const named = Object.values<{ url: string }>(shown.variants)
      .map(({ url }) => url.replace("https://cdn.example/", ""));
    assert.deepEqual(await keysOf(world, kept), named.sort());
    assert.equal((await keysOf(world, broken)).length, 3);

    // Asked for twice, as after a kill: the same keys, and nothing of them goes.
    await ask(2);
    await until("it is answered again", async () => (await outcomes(world)).length === 6);
    await world.onLane(
      lane,
      () =>
        until("it is visited", async () => {
          const behind = await world.sql.query(
            "SELECT FROM lanes.cursors WHERE topic = $1 HAVING sum(next_offset) >= 2",
            [lane.topic],
          );
          return behind.length > 0;
        }),
      30_000,
    );
    assert.deepEqual(await keysOf(world, kept), named.sort());
  } finally {
    await worker.stop();
  }
});
