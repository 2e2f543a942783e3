import assert from "node:assert/strict";
import type { DomainEvent } from "../../../domain/events.ts";
import { now as time } from "../../../domain/given_when_then.ts";
import { encodeEvent } from "../../../infra/event-log/codec.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import { openKafkaLog } from "../../../infra/event-log/kafka.ts";
import { observed } from "../../../infra/event-log/observed.ts";
import type { EventLog, NewRecord } from "../../../infra/event-log/port.ts";
import { openPostgresIdentity } from "../../../infra/identity/postgres.ts";
import { AccountSealer } from "../../../infra/identity/sealing.ts";
import { openPostgres } from "../../../infra/sql/postgres.ts";
import { createDatabase } from "../../../infra/sql/postgres_fixture.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { readModel } from "../../../projections/read-model/read-model.ts";
import { UnfitRecord } from "../../../projections/runner/applier.ts";
import { dropProjection, ensureProjection } from "../../../projections/runner/control.ts";
import { dump } from "../../../projections/runner/harness.ts";
import type { OpenLaneThread, Stretch } from "../../../projections/runner/lane.ts";
import { define, type Told } from "../../../projections/runner/projection.ts";
import { rebuild } from "../../../projections/runner/rebuild.ts";
import { testSettings } from "../../../scripts/stack/for-tests.ts";
import { startKafka } from "../../../scripts/stack/kafka.ts";
import { ensureTopics } from "../../projector/topics.ts";
import { laneThreads } from "./lane-threads.ts";

const [kafka, postgres] = ["KAFKA", "POSTGRES"].map((name) =>
  Deno.env.get(`SHUTTERLOG_TEST_${name}`)
);
if (kafka === undefined || postgres === undefined) {
  console.log("SHUTTERLOG_TEST_KAFKA or _POSTGRES is not set: filling in threads is left out");
} else {
  Deno.test("laneThreads: what two threads fill, called off and cut off on the way, is what one fills; what does not fit is named", async () => {
    await using cleanup = new AsyncDisposableStack();
    const database = await createDatabase(postgres);
    cleanup.defer(() => database.remove());
    // Of its own: threads read the product's topics, whole.
    const folder = await Deno.makeTempDir({ prefix: "shutterlog-kafka-" });
    cleanup.defer(() => Deno.remove(folder, { recursive: true }));
    const kafka = await startKafka({
      folder,
      brokers: 1,
      heap: testSettings.kafkaHeap,
      shortLived: true,
    });
    cleanup.defer(() => kafka.stop());
    const brokers = kafka.brokers.split(",");
    const log = await openKafkaLog({
      brokers,
      replicationFactor: 1,
      minInsyncReplicas: 1,
      logger: silentLogger,
    });
    cleanup.defer(() => log.close());
    const sql = await openPostgres({ url: database.url });
    cleanup.defer(() => sql.close());
    const identity = await openPostgresIdentity(await openPostgres({ url: database.url }));
    cleanup.defer(() => identity.closeStore());
    const sealer = new AccountSealer({ identity });
    await ensureTopics(log);

    const people = Array.from({ length: 24 }, () => newId());
    for (const [n, accountId] of people.entries()) {
      await identity.adopt({ accountId, handle: `${accountId.slice(-12)}.${n}`, passwordHash: "" });
    }
    const append = async (events: readonly DomainEvent[]) => {
      const records: NewRecord[] = [];
      for (const event of events) records.push(await encodeEvent(event, sealer));
      for (let at = 0; at < records.length; at += 2_000) {
        await log.append(records.slice(at, at + 2_000));
      }
    };
    await append(crowd(people));

    const openLaneThread = laneThreads({
      KAFKA_BROKERS: brokers,
      POSTGRES_URL: database.url,
      CDN_BASE_URL: "https://cdn.example",
    });
    const definition = define(readModel);
    const services = {
      ...{ log, sql, sealer, batchSize: 200, handOverSeconds: 0.1 },
      announce: () => Promise.resolve(),
    };
    const never: Told = { signal: new AbortController().signal, onStep: () => {} };
    const others = watched(openLaneThread);
    const run = (told: Told, openLaneThread?: OpenLaneThread) =>
      rebuild(
        definition,
        openLaneThread
          ? { ...services, log: readAfter(log, () => others.atWork.promise), openLaneThread }
          : services,
        told,
        (reason) => reason instanceof CalledOff,
      );
    await ensureProjection(sql, log, readModel);

    const alone = await run(never);
    assert.equal(alone.version, 2);

    // Called off once the other thread is at work: no trace. Then cut off there, and gone on with.
    for (const reason of [new CalledOff(), new Error("cut off")]) {
      const stop = new AbortController();
      others.atWork = Promise.withResolvers();
      others.onPassed = () => stop.abort(reason);
      const told = { signal: stop.signal, onStep: () => {} };
      await assert.rejects(run(told, others.open), (error) => error === reason);
      const begun = await sql.query(
        "SELECT FROM projections.versions WHERE projection = 'read_model' AND version = 3",
      );
      assert.equal(begun.length, reason instanceof CalledOff ? 0 : 1);
    }
    others.onPassed = () => {};
    const resumed = await run(never, others.open);
    assert.deepEqual([resumed.version, resumed.resumed], [3, true]);
    assert.deepEqual(resumed.differences, { count: 0, some: [] });

    // No projector is there to lay it aside, so that it would be gone on with.
    await dropProjection(sql, "read_model", 1);
    others.atWork = Promise.withResolvers();
    const together = await run(never, others.open);
    assert.equal(together.resumed, false);
    assert.deepEqual(together.differences, { count: 0, some: [] });
    const expected = await dump(sql, `read_model_v${resumed.version}`);
    assert.deepEqual(await dump(sql, `read_model_v${together.version}`), expected);

    // Found by the other thread, in what it alone is given.
    const [author = ""] = people;
    const caption = await encodeEvent(captioned(author), sealer);
    const future = { ...caption.headers, ce_type: "shutterlog.CaptionChanged.v99" };
    const [place] = await log.append([{ ...caption, headers: future }]);
    assert(place);
    const version = together.version + 1;
    await ensureProjection(sql, log, { ...readModel, version });
    const options = { strict: true, filledAlone: false, batchSize: 200 };
    const opened = openLaneThread({ name: "read_model", version }, options, many);
    const [lane] = await opened?.lanes ?? [];
    const stretch: Stretch = { ...place, from: 0, high: place.offset + 1 };
    await assert.rejects(
      lane?.fill(stretch, never.signal, () => {}) ?? Promise.resolve(),
      (error) =>
        error instanceof UnfitRecord && error.category === "unknown-version" &&
        error.letter.record.offset === place.offset &&
        error.message.startsWith(
          `read_model v${version} cannot apply posts/${place.partition} at offset ${place.offset} ` +
            `(key ${caption.key}): unknown-version: `,
        ),
    );
    await opened?.close();
    await dropProjection(sql, "read_model", version);
  });

  Deno.test("laneThreads: a thread that cannot reach its engines says so; closed while it starts, it has no lanes; for little there is none", async () => {
    const config = {
      KAFKA_BROKERS: kafka.split(","),
      POSTGRES_URL: "postgres://nobody@127.0.0.1:1/none",
      CDN_BASE_URL: "https://cdn.example",
    };
    const options = { strict: true, filledAlone: true, batchSize: 200 };
    const failing = laneThreads(config)(readModel, options, many);
    assert(failing);
    await assert.rejects(failing.lanes, { name: "SqlError", code: "08001" });
    await failing.close();
    const closed = laneThreads(config)(readModel, options, many);
    await closed?.close();
    assert.deepEqual(await closed?.lanes, []);
    assert.equal(laneThreads(config)(readModel, options, 1_000), undefined);
  });
}

/** Records that are worth a thread. */
const many = 1_000_000;

class CalledOff extends Error {}

/** A log that this thread reads no more than its ends of, until it may. */
function readAfter(log: EventLog, until: () => Promise<void>): EventLog {
  return {
    ...observed(log, "kafka"),
    async *read(partition, from, options) {
      await until();
      yield* log.read(partition, from, options);
    },
  };
}

/** Tells when lanes of other threads have passed something. */
function watched(openLaneThread: OpenLaneThread) {
  const watch = {
    atWork: Promise.withResolvers<void>(),
    onPassed: () => {},
    open: ((projection, options) => {
      const thread = openLaneThread(projection, options, many);
      assert(thread);
      const lanes = thread.lanes.then((lanes) =>
        lanes.map((lane): typeof lane => ({
          fill: (stretch, signal, onPassed) =>
            lane.fill(stretch, signal, (records) => {
              watch.atWork.resolve();
              onPassed(records);
              watch.onPassed();
            }),
        }))
      );
      return { ...thread, lanes };
    }) satisfies OpenLaneThread as OpenLaneThread,
  };
  return watch;
}

function captioned(authorId: string): DomainEvent {
  const data = { postId: newId(), authorId, caption: "Dusk" };
  return { id: newId(), type: "CaptionChanged", time, data };
}

/** Everyone follows everyone, posts, and likes and comments most posts. */
function crowd(people: readonly string[]): DomainEvent[] {
  const events: DomainEvent[] = [];
  const say = <T extends DomainEvent["type"]>(
    type: T,
    data: Extract<DomainEvent, { type: T }>["data"],
  ) => events.push({ id: newId(), type, time, data } as DomainEvent);
  for (const accountId of people) {
    say("AccountRegistered", { accountId, handle: accountId.slice(-12), displayName: "Ada" });
    for (const followeeId of people) {
      if (followeeId !== accountId) say("AccountFollowed", { followerId: accountId, followeeId });
    }
  }
  for (const [nth, authorId] of people.entries()) {
    for (let post = 0; post < 5; post++) {
      const [postId, mediaId] = [newId(), newId()];
      const altTexts = { [mediaId]: "the sea" };
      say("PostCreated", { postId, authorId, mediaIds: [mediaId], caption: "Dawn", altTexts });
      for (const [by, accountId] of people.entries()) {
        say("PostLiked", { postId, accountId });
        if ((by + nth) % 7 === 0) say("PostUnliked", { postId, accountId });
        if ((by + nth) % 10 === 0) {
          say("CommentAdded", { postId, commentId: newId(), authorId: accountId, text: "Ah" });
        }
      }
    }
    const followeeId = people[(nth + 1) % people.length] ?? "";
    say("AccountUnfollowed", { followerId: authorId, followeeId });
  }
  return events;
}
