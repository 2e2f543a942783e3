import assert from "node:assert/strict";
import sharp from "sharp";
import type { DomainEvent } from "../../domain/events.ts";
import { originalKey, variantPrefix } from "../../domain/media.ts";
import { maximumUploadBytes } from "../../domain/values.ts";
import { decodeEvent, encodeEvent, type TextSealer } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import type { EventLog, LogRecord, NewRecord } from "../../infra/event-log/port.ts";
import { createIsolatedProcessor, type IsolatedProcessor } from "../../infra/images/isolated.ts";
import { type ObjectStore, StoreUnavailable } from "../../infra/object-store/port.ts";
import { type Fields, type Logger, silentLogger } from "../../infra/telemetry/logger.ts";
import { regenerationRecord } from "./regeneration-records.ts";
import { deadLetterTopic, retryTopic } from "./retries.ts";
import { type ImageWorkerOptions, startImageWorker } from "./worker.ts";
import { openEngines } from "./worker_test_engines.ts";

Deno.test("an uploaded photograph becomes three stored variants and VariantsReady", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(1200, 900));
  await using _worker = await world.startWorker();

  const ready = await world.outcomeOf(upload.mediaId);
  assert.equal(ready.type, "VariantsReady");
  assert(ready.type === "VariantsReady");
  assert.equal(ready.data.ownerId, upload.ownerId);
  assert.deepEqual([ready.data.width, ready.data.height], [1200, 900]);
  const { thumbnail, medium, large } = ready.data.variants;
  assert.deepEqual([thumbnail.width, thumbnail.height], [150, 150]);
  assert.deepEqual([medium.width, medium.height], [600, 450]);
  assert.deepEqual([large.width, large.height], [1080, 810]);
  for (const [name, variant] of Object.entries(ready.data.variants)) {
    const stored = await world.store.get(variant.objectKey);
    assert(stored);
    assert.equal(stored.head.cacheControl, "public, max-age=31536000, immutable");
    assert.equal(stored.head.contentType, variant.contentType);
    const bytes = await new Response(stored.body).bytes();
    assert.equal(bytes.length, variant.byteLength);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 16);
    const recipe: string = `r${ready.data.recipe}`;
    const prefix: string = `${variantPrefix(upload.mediaId)}${recipe}-${name}-${hash}.`;
    assert(variant.objectKey.startsWith(prefix), variant.objectKey);
  }
  assert(
    await world.store.head(originalKey(upload.ownerId, upload.mediaId)),
    "the original is kept",
  );
});

Deno.test("the same upload delivered again gives the same keys and leaves no other object", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(400, 300));
  await using _worker = await world.startWorker();
  await world.outcomeOf(upload.mediaId);
  const keys = await world.variantsOf(upload.mediaId);
  await world.log.append([upload.record]);
  await until("a second VariantsReady", async () => {
    const events = await world.eventsOf(upload.mediaId);
    return events.filter(({ type }) => type === "VariantsReady").length === 2;
  });
  const [first, second] = (await world.eventsOf(upload.mediaId))
    .filter(({ type }) => type === "VariantsReady");
  assert.deepEqual(first?.data, second?.data);
  assert.deepEqual(await world.variantsOf(upload.mediaId), keys);
  assert.equal(keys.length, 3);
});

Deno.test("what can never work is rejected with its reason, at the first attempt", async () => {
  await using world = await openWorld();
  const whole = await photograph(400, 300);
  const cases = [
    { bytes: new TextEncoder().encode("not a photograph"), reason: "not-an-image" },
    { bytes: new Uint8Array(), reason: "empty" },
    { bytes: whole.slice(0, whole.length / 2), reason: "truncated" },
    { bytes: new Uint8Array(maximumUploadBytes + 1), reason: "too-many-bytes" },
  ] as const;
  const uploads = await Promise.all(cases.map(({ bytes }) => world.upload(bytes)));
  await using _worker = await world.startWorker();
  for (const [index, { reason }] of cases.entries()) {
    const event = await world.outcomeOf(uploads[index]?.mediaId ?? "");
    assert(event.type === "MediaRejected");
    assert.equal(event.data.reason, reason);
    assert.match(event.data.detail, /^[A-Z].*\.$/);
  }
  assert.deepEqual(await world.recordsOf(retryTopic), []);
});

Deno.test("a medium the store fails twice gets ready by the retry lane while others pass", async () => {
  await using world = await openWorld();
  const unlucky = await world.upload(await photograph(400, 300));
  const lucky = await world.upload(await photograph(300, 400));
  const clock = manualClock();
  let failures = 0;
  const store = intercepting(world.store, {
    get(key) {
      if (!key.endsWith(unlucky.mediaId) || failures === 2) return world.store.get(key);
      failures++;
      return Promise.reject(new StoreUnavailable("connection reset"));
    },
  });
  // Held back until the other one is done, which a lane of its own must allow.
  const luckyReady = world.outcomeOf(lucky.mediaId);
  await using _worker = await world.startWorker({
    store,
    now: clock.now,
    sleep: async (milliseconds) => {
      await luckyReady;
      clock.sleep(milliseconds);
    },
  });
  assert.equal((await luckyReady).type, "VariantsReady");
  assert.equal((await world.outcomeOf(unlucky.mediaId)).type, "VariantsReady");
  assert.equal(failures, 2);
  assert.deepEqual(clock.slept, [1_000, 5_000]);
  assert.deepEqual(await world.recordsOf(deadLetterTopic), []);
});

Deno.test("a medium that always fails is dead after three retries, with the reason", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(400, 300));
  const clock = manualClock();
  const store = intercepting(world.store, {
    put: (key, body, headers) =>
      key.startsWith("variants/")
        ? Promise.reject(new StoreUnavailable("slow down"))
        : world.store.put(key, body, headers),
  });
  await using _worker = await world.startWorker({ store, ...clock });
  await until("a dead letter", async () => (await world.recordsOf(deadLetterTopic)).length > 0);
  const [dead, ...others] = await world.recordsOf(deadLetterTopic);
  assert(dead);
  assert.deepEqual(others, []);
  assert.equal(dead.key, upload.mediaId);
  assert.equal(dead.value, upload.record.value);
  assert.equal(dead.headers.ce_id, upload.record.headers.ce_id);
  assert.equal(dead.headers.shutterlog_attempt, "4");
  assert.equal(dead.headers.shutterlog_error, "StoreUnavailable: slow down");
  assert.equal(dead.headers.shutterlog_not_before, undefined);
  assert.deepEqual(clock.slept, [1_000, 5_000, 25_000]);
  assert.equal((await world.eventsOf(upload.mediaId)).length, 1);
});

Deno.test("an outage of the whole store costs no medium an attempt", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(400, 300));
  let asked = 0;
  const down = () => asked < 3;
  const store = intercepting(world.store, {
    get(key) {
      asked++;
      return down() ? Promise.reject(new StoreUnavailable("refused")) : world.store.get(key);
    },
    check: () => down() ? Promise.reject(new StoreUnavailable("refused")) : world.store.check(),
  });
  await using _worker = await world.startWorker({ store });
  assert.equal((await world.outcomeOf(upload.mediaId)).type, "VariantsReady");
  assert.equal(asked, 3);
  assert.deepEqual(await world.recordsOf(retryTopic), []);
});

Deno.test("a file that kills its image process is given up; the worker lives", async () => {
  await using world = await openWorld();
  let deadly = true;
  const logger = listening((_, { pid }) => {
    if (deadly && typeof pid === "number") Deno.kill(pid, "SIGKILL");
  });
  await using processor = createIsolatedProcessor({ processes: 1, logger });
  const upload = await world.upload(await photograph(400, 300));
  await using _worker = await world.startWorker({ processor, ...manualClock() });
  await until("a dead letter", async () => (await world.recordsOf(deadLetterTopic)).length > 0);
  const [dead] = await world.recordsOf(deadLetterTopic);
  assert.equal(dead?.key, upload.mediaId);
  assert.equal(
    dead?.headers.shutterlog_error,
    "ImageProcessDied: the image process ended with SIGKILL",
  );
  deadly = false;
  const next = await world.upload(await photograph(300, 400));
  assert.equal((await world.outcomeOf(next.mediaId)).type, "VariantsReady");
});

Deno.test("what is made again gives way to uploads", async () => {
  await using world = await openWorld();
  const old = await world.upload(await photograph(400, 300));
  const waits = Promise.withResolvers<void>();
  const begins = Promise.withResolvers<void>();
  const order: string[] = [];
  const store = intercepting(world.store, {
    async get(key) {
      const again = key.endsWith(old.mediaId) && order.includes("old");
      order.push(again ? "old again" : key.endsWith(old.mediaId) ? "old" : "upload");
      if (order.length === 2) {
        begins.resolve();
        await waits.promise;
      }
      return await world.store.get(key);
    },
  });
  let gaveWay = 0;
  await using _worker = await world.startWorker({
    store,
    sleep: async () => {
      if (++gaveWay === 3) waits.resolve();
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
  });
  await world.outcomeOf(old.mediaId);
  await world.upload(await photograph(300, 400));
  await begins.promise;
  const { mediaId, ownerId } = old;
  await world.log.append([
    regenerationRecord({ ask: "regenerate", mediaId, ownerId, recipe: 2 }),
  ]);
  await until("it is made again", async () => {
    const events = await world.eventsOf(mediaId);
    return events.some((event) => event.type === "VariantsReady" && event.data.recipe === 2);
  });
  assert.deepEqual(order, ["old", "upload", "old again"]);
  assert.ok(gaveWay >= 3);
});

Deno.test("stopping while a retry waits loses nothing: the next worker makes it", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(400, 300));
  const store = intercepting(world.store, {
    get: () => Promise.reject(new StoreUnavailable("connection reset")),
  });
  const waiting = Promise.withResolvers<void>();
  const first = await world.startWorker({
    store,
    // Until the signal, however long that is.
    sleep: (_, signal) => {
      waiting.resolve();
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true })
      );
    },
  });
  await waiting.promise;
  await first.stop();
  assert.equal((await world.recordsOf(retryTopic)).length, 1);
  await using _second = await world.startWorker(manualClock());
  assert.equal((await world.outcomeOf(upload.mediaId)).type, "VariantsReady");
});

Deno.test("a medium whose original is gone is left alone", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(400, 300));
  await world.store.delete([originalKey(upload.ownerId, upload.mediaId)]);
  let gone = false;
  await using _worker = await world.startWorker({
    logger: listening((message) => gone ||= message === "medium gone"),
  });
  await until("the worker to see that it is gone", () => Promise.resolve(gone));
  assert.equal((await world.eventsOf(upload.mediaId)).length, 1);
  assert.deepEqual(await world.recordsOf(retryTopic), []);
});

Deno.test("a purge in the middle leaves no variant behind", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(400, 300));
  const purge = async () => {
    await world.store.delete([originalKey(upload.ownerId, upload.mediaId)]);
    await world.store.delete(await world.variantsOf(upload.mediaId));
  };
  const store = intercepting(world.store, {
    async put(key, body, headers) {
      if (key.includes("-medium-")) await purge();
      await world.store.put(key, body, headers);
    },
  });
  let gone = false;
  await using _worker = await world.startWorker({
    store,
    logger: listening((message) => gone ||= message === "medium gone"),
  });
  await until("the worker to see that it is gone", () => Promise.resolve(gone));
  assert.deepEqual(await world.variantsOf(upload.mediaId), []);
  assert.equal((await world.eventsOf(upload.mediaId)).length, 1);
});

Deno.test("an unreadable record is a dead letter and holds up nothing", async () => {
  await using world = await openWorld();
  const record = { topic: "media", key: newId(), value: "{", headers: { ce_type: "nonsense" } };
  await world.log.append([record]);
  const upload = await world.upload(await photograph(400, 300));
  await using _worker = await world.startWorker();
  assert.equal((await world.outcomeOf(upload.mediaId)).type, "VariantsReady");
  await until("a dead letter", async () => (await world.recordsOf(deadLetterTopic)).length > 0);
  const [dead] = await world.recordsOf(deadLetterTopic);
  assert.equal(dead?.value, record.value);
  assert.match(dead?.headers.shutterlog_error ?? "", /^UnreadableEvent: /);
});

Deno.test("a worker killed with SIGKILL in the middle of a resize: another finishes", async () => {
  await using world = await openWorld();
  const upload = await world.upload(await photograph(6000, 4000));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("worker_test_process.ts", import.meta.url).href, world.folder],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "resizing\n");
  child.kill("SIGKILL");
  await reader.cancel();
  assert.equal((await child.status).signal, "SIGKILL");
  assert.equal((await world.eventsOf(upload.mediaId)).length, 1, "killed before it was done");

  await using _worker = await world.startWorker();
  assert.equal((await world.outcomeOf(upload.mediaId)).type, "VariantsReady");
  assert.equal((await world.variantsOf(upload.mediaId)).length, 3);
});

/** A noisy picture, as JPEG. */
function photograph(width: number, height: number): Promise<Uint8Array> {
  const noise = { type: "gaussian", mean: 128, sigma: 30 } as const;
  return sharp({ create: { width, height, channels: 3, background: "black", noise } })
    .jpeg()
    .toBuffer();
}

interface World extends AsyncDisposable {
  readonly folder: string;
  readonly log: EventLog;
  readonly store: ObjectStore;
  upload(bytes: Uint8Array): Promise<{ mediaId: string; ownerId: string; record: NewRecord }>;
  startWorker(
    options?: Partial<ImageWorkerOptions>,
  ): Promise<AsyncDisposable & { stop(): Promise<void> }>;
  recordsOf(topic: string): Promise<LogRecord[]>;
  eventsOf(mediaId: string): Promise<DomainEvent[]>;
  /** Waits for VariantsReady or MediaRejected. */
  outcomeOf(mediaId: string): Promise<DomainEvent>;
  variantsOf(mediaId: string): Promise<string[]>;
}

async function openWorld(): Promise<World> {
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-image-worker-" });
  const { log, store } = await openEngines(folder);
  await log.ensureTopics(
    ["media", retryTopic, deadLetterTopic].map((name) => ({ name, partitions: 16 })),
  );
  const processors: IsolatedProcessor[] = [];
  const world: World = {
    folder,
    log,
    store,
    async upload(bytes) {
      const [mediaId, ownerId] = [newId(), newId()];
      const objectKey = originalKey(ownerId, mediaId);
      const contentType = "image/jpeg";
      await store.put(objectKey, bytes, { contentType });
      const record = await encodeEvent({
        id: newId(),
        type: "MediaUploaded",
        time: new Date().toISOString(),
        data: { mediaId, ownerId, objectKey, contentType, byteLength: bytes.length },
      }, noText);
      await log.append([record]);
      return { mediaId, ownerId, record };
    },
    async startWorker(options) {
      let processor = options?.processor;
      if (!processor) {
        const isolated = createIsolatedProcessor({ processes: 2, logger: silentLogger });
        processors.push(isolated);
        processor = isolated;
      }
      const worker = await startImageWorker({
        log,
        store,
        logger: silentLogger,
        now: () => new Date(),
        newId,
        ...options,
        processor,
      });
      return { stop: worker.stop, [Symbol.asyncDispose]: worker.stop };
    },
    async recordsOf(topic) {
      const records: LogRecord[] = [];
      for (let partition = 0; partition < 16; partition++) {
        for await (const batch of log.read({ topic, partition }, 0)) records.push(...batch);
      }
      return records;
    },
    async eventsOf(mediaId) {
      const records = (await world.recordsOf("media")).filter(({ key }) => key === mediaId);
      return Promise.all(records.map((record) => decodeEvent(record, noText)));
    },
    async outcomeOf(mediaId) {
      let outcome: DomainEvent | undefined;
      await until(`the outcome of ${mediaId}`, async () => {
        outcome = (await world.eventsOf(mediaId)).find(({ type }) => type !== "MediaUploaded");
        return outcome !== undefined;
      });
      assert(outcome);
      return outcome;
    },
    async variantsOf(mediaId) {
      const keys: string[] = [];
      for await (const { key } of store.list(variantPrefix(mediaId))) keys.push(key);
      return keys;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(processors.map((processor) => processor.close()));
      await log.close();
      await store.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
  return world;
}

/** Looks again until it holds. @throws after 60 seconds. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!await holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A clock that only sleeping moves, and at once. */
function manualClock() {
  let time = Date.UTC(2026, 0, 1);
  const slept: number[] = [];
  return {
    slept,
    now: () => new Date(time),
    sleep(milliseconds: number): Promise<void> {
      if (milliseconds > 0) slept.push(milliseconds);
      time += milliseconds;
      return Promise.resolve();
    },
  };
}

/** The real store, but for some of its operations. */
function intercepting(store: ObjectStore, instead: Partial<ObjectStore>): ObjectStore {
  return {
    presignPut: (object) => store.presignPut(object),
    head: (key) => store.head(key),
    get: (key) => store.get(key),
    put: (key, body, headers) => store.put(key, body, headers),
    delete: (keys) => store.delete(keys),
    list: (prefix) => store.list(prefix),
    check: () => store.check(),
    close: () => store.close(),
    ...instead,
  };
}

function listening(heard: (message: string, fields: Fields) => void): Logger {
  const hear = (message: string, fields: Fields = {}) => heard(message, fields);
  return { debug: hear, info: hear, warn: hear, error: hear, with: () => listening(heard) };
}

const noText: TextSealer = {
  seal: () => Promise.reject(new Error("no text expected")),
  open: () => Promise.reject(new Error("no text expected")),
};
