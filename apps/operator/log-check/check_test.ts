import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { DomainEvent } from "../../../domain/events.ts";
import { originalKey, variantPrefix } from "../../../domain/media.ts";
import { encodeEvent } from "../../../infra/event-log/codec.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import { openSealer } from "../../../projections/runner/harness.ts";
import { imageWorkerTopics } from "../../image-worker/worker.ts";
import { purges } from "../../projector/lanes/purges.ts";
import { ensureTopics } from "../../projector/topics.ts";
import {
  fromTheFuture,
  openEmbeddedWorld,
  openNetworkedWorld,
  type OperatedWorld,
  servers,
} from "../testing.ts";

type Data = { [Type in DomainEvent["type"]]: Extract<DomainEvent, { type: Type }>["data"] };
const longAgo = "2026-01-01T00:00:00.000Z";

function event<Type extends DomainEvent["type"]>(
  type: Type,
  data: Data[Type],
  time = longAgo,
): DomainEvent {
  return { id: newId(), time, type, data } as DomainEvent;
}

interface Medium {
  readonly mediaId: string;
  readonly ownerId: string;
}

const medium = (): Medium => ({ mediaId: newId(), ownerId: newId() });

function uploaded(of: Medium): DomainEvent {
  const objectKey = originalKey(of.ownerId, of.mediaId);
  return event("MediaUploaded", { ...of, objectKey, contentType: "image/jpeg", byteLength: 4 });
}

function variantKeys({ mediaId }: Medium, recipe: number): string[] {
  return ["large", "medium", "thumbnail"]
    .map((name) => `${variantPrefix(mediaId)}r${recipe}-${name}-0123456789abcdef.webp`);
}

function ready(of: Medium, recipe: number, time = longAgo): DomainEvent {
  const [large, middle, thumbnail] = variantKeys(of, recipe).map((objectKey) => ({
    objectKey,
    width: 1,
    height: 1,
    byteLength: 4,
    contentType: "image/webp",
  }));
  assert.ok(large && middle && thumbnail);
  const variants = { large, medium: middle, thumbnail };
  return event(
    "VariantsReady",
    { ...of, recipe, width: 1, height: 1, placeholder: "", variants },
    time,
  );
}

async function put({ engines: { store } }: OperatedWorld, ...keys: string[]): Promise<void> {
  for (const key of keys) await store.put(key, new Uint8Array(4), { contentType: "image/webp" });
}

/** As if everything in the store had been put there yesterday. */
async function age(folder: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    const yesterday = Date.now() / 1000 - 86_400;
    if (isDirectory) await age(path);
    else await Deno.utime(path, yesterday, yesterday);
  }
}

async function withAllTopics(open: () => Promise<OperatedWorld>): Promise<OperatedWorld> {
  const world = await open();
  await ensureTopics(world.engines.log);
  await world.engines.log.ensureTopics(imageWorkerTopics);
  return world;
}

function each(claim: string, body: (world: OperatedWorld) => Promise<void>): void {
  Deno.test(`log check: ${claim}`, async () => {
    await using world = await withAllTopics(openEmbeddedWorld);
    await body(world);
  });
}

const none = { count: 0, named: [] };

each("a log that is right is, with every state a medium can be in", rightAsItIs);

if (servers) {
  const given = servers;
  Deno.test("log check on Kafka: a log that is right is, with every state a medium can be in", async () => {
    await using world = await withAllTopics(() => openNetworkedWorld(given));
    await rightAsItIs(world);
  });
}

async function rightAsItIs(world: OperatedWorld): Promise<void> {
  const [plain, rejected, purged, remade, retiring, purging] = Array.from({ length: 6 }, medium);
  assert.ok(plain && rejected && purged && remade && retiring && purging);
  const again = uploaded(plain);
  await world.append(
    ...[again, ready(plain, 1), again],
    ...[uploaded(rejected)],
    event("MediaRejected", { ...rejected, reason: "corrupt", detail: "It is." }),
    ...[uploaded(purged), ready(purged, 1)],
    event("MediaPurged", { ...purged, cause: "post-deleted" }),
    ...[uploaded(remade), ready(remade, 1), ready(remade, 2), ready(remade, 1)],
    ...[uploaded(retiring), ready(retiring, 1), ready(retiring, 2, new Date().toISOString())],
    ...[uploaded(purging), ready(purging, 1)],
  );
  const value = JSON.stringify({ ...purging, cause: "post-deleted", keys: [] });
  await world.engines.log.append([{ topic: purges, key: purging.mediaId, value, headers: {} }]);
  const kept = [plain, rejected, remade, retiring]
    .map(({ ownerId, mediaId }) => originalKey(ownerId, mediaId));
  await put(world, ...kept, ...variantKeys(plain, 1), ...variantKeys(remade, 2));
  await put(world, ...variantKeys(retiring, 1), ...variantKeys(retiring, 2));
  await age(world.storeFolder);

  const steps = new Map<string, number>();
  const found = await world.ask("log.check", {}, {
    onStep: ({ what, done, of }) => void steps.set(what, done / (of ?? 1)),
  });
  assert.deepEqual(found, {
    topics: [],
    records: 18,
    holes: none,
    unreadable: none,
    duplicates: 1,
    objects: 16,
    orphans: none,
    missing: none,
  });
  assert.deepEqual([...steps], [["records", 1], ["objects", 1]]);
}

each("what cannot be read is named with its place and the reason", async (world) => {
  const posted = event("PostDeleted", { postId: newId(), authorId: newId(), cause: "author" });
  const record = await encodeEvent(posted, openSealer);
  const appended = await world.engines.log.append([
    record,
    fromTheFuture(record),
    { ...record, value: "not JSON" },
    { ...record, value: "{}" },
  ]);
  const { unreadable } = await world.ask("log.check", {});
  assert.equal(unreadable.count, 3);
  assert.deepEqual(
    unreadable.named.map(({ reason, ...at }) => [at, reason.split(":")[0]]),
    appended.slice(1).map((
      at,
      n,
    ) => [at, ["unknown-version", "malformed-record", "invalid-data"][n]]),
  );
});

each(
  "objects without an event and events without objects are found, the young left alone",
  async (world) => {
    const [whole, lacking, dropped, remade] = Array.from({ length: 4 }, medium);
    assert.ok(whole && lacking && dropped && remade);
    await world.append(...[whole, lacking].flatMap((one) => [uploaded(one), ready(one, 1)]));
    await world.append(uploaded(remade), ready(remade, 1), ready(remade, 2));
    const original = (of: Medium) => originalKey(of.ownerId, of.mediaId);
    const lacks = [original(lacking), variantKeys(lacking, 1)[1] ?? ""];
    await put(world, ...[whole, lacking, remade].map(original), ...variantKeys(whole, 1));
    await put(world, ...variantKeys(lacking, 1), ...variantKeys(remade, 2));
    await world.engines.store.delete(lacks);
    const strange = [original(dropped), ...variantKeys(remade, 1), "stray"];
    await put(world, ...strange);
    const young = await world.ask("log.check", {});
    assert.deepEqual(young.orphans, none, "they may be on their way");
    await age(world.storeFolder);
    await put(world, "just uploaded");
    const { orphans, missing } = await world.ask("log.check", {});
    assert.deepEqual(orphans.named.map(({ key }) => key), strange.toSorted());
    assert.equal(orphans.count, strange.length);
    assert.deepEqual(missing, {
      count: 2,
      named: lacks.map((key) => ({ key, mediaId: lacking.mediaId })),
    });
  },
);

Deno.test("log check: topics that are not there are named, and not made; lanes may have any number of partitions", async () => {
  await using world = await openEmbeddedWorld();
  const { log } = world.engines;
  await log.ensureTopics([{ name: purges, partitions: 3 }]);
  const { topics } = await world.ask("log.check", {});
  assert.ok(!topics.some((message) => message.includes(purges)));
  assert.ok(topics.some((message) => message.includes("no topic media-retries")));
  await assert.rejects(log.watermarks(["media-retries"]));
});

Deno.test("log check: offsets that are not there are named", async () => {
  await using world = await withAllTopics(openEmbeddedWorld);
  const postId = newId();
  const many = Array.from(
    { length: 2_500 },
    () => event("PostLiked", { postId, accountId: newId() }),
  );
  const [at] = await world.append(...many);
  assert.ok(at);
  const database = new DatabaseSync(`${world.folder}/log.sqlite`);
  for (const [from, to] of [[0, 1], [7, 7], [1_998, 2_003]]) {
    database.prepare(
      `DELETE FROM records WHERE partition = ? AND offset BETWEEN ? AND ?
       AND topic = (SELECT id FROM topics WHERE name = 'engagement')`,
    ).run(at.partition, from ?? 0, to ?? 0);
  }
  database.close();
  const { holes, records, duplicates } = await world.ask("log.check", {});
  const place = { topic: "engagement", partition: at.partition };
  assert.deepEqual(holes, {
    count: 9,
    named: [[0, 1], [7, 7], [1_998, 2_003]].map(([from, to]) => ({ ...place, from, to })),
  });
  assert.deepEqual([records, duplicates], [2_491, 0]);
});
