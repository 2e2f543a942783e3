import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import type { NewRecord } from "../../infra/event-log/port.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { ensureControl } from "../../projections/runner/control.ts";
import { catchUp, dump, openSealer } from "../../projections/runner/harness.ts";
import { keyOf } from "../../projections/cards/keys.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { startProjector } from "../../projections/runner/runner.ts";
import { afterFailure, deadLetterTopic, retryTopic } from "../image-worker/retries.ts";
import { liveProjections } from "../projector/definitions.ts";
import { Refused } from "./operation.ts";
import {
  fromTheFuture,
  openEmbeddedWorld,
  openNetworkedWorld,
  type OperatedWorld,
  readByTheNextRelease,
  servers,
} from "./testing.ts";

type Data = { [Type in DomainEvent["type"]]: Extract<DomainEvent, { type: Type }>["data"] };

function event<Type extends DomainEvent["type"]>(type: Type, data: Data[Type]): DomainEvent {
  return { id: newId(), time: "2026-01-01T00:00:00.000Z", type, data } as DomainEvent;
}

const [reader, author] = [newId(), newId()];
const posted = (postId: string, caption: string) =>
  event("PostCreated", { postId, authorId: author, mediaIds: [newId()], caption, altTexts: {} });
const captioned = (postId: string, caption: string) =>
  event("CaptionChanged", { postId, authorId: author, caption });

async function record(event: DomainEvent): Promise<NewRecord> {
  return await encodeEvent(event, openSealer);
}

/** A projector on these engines until it is disposed of, and how to wait for it. */
async function projecting({ engines }: OperatedWorld, log = engines.log) {
  const { sql } = engines;
  const progress = new Progress(sql);
  await ensureControl(sql);
  const all = await liveProjections(engines);
  const projector = await startProjector({
    log,
    sql,
    projections: all,
    sealer: openSealer,
    logger: silentLogger,
    progress,
  });
  return {
    async passed(): Promise<void> {
      const topics = [...new Set(all.flatMap(({ topics }) => topics))];
      const ends = (await log.watermarks(topics)).filter(({ high }) => high > 0)
        .map(({ topic, partition, high }) => ({ topic, partition, offset: high - 1 }));
      assert.ok(await progress.reached(ends, all.map(({ name }) => name), 60_000), "in time");
    },
    [Symbol.asyncDispose]: () => projector.stop(),
  };
}

async function parkedKeysMetric(projection: string): Promise<number> {
  const text = await metrics.getSingleMetricAsString("shutterlog_projection_parked_keys");
  return Number(new RegExp(`projection="${projection}"} (\\d+)`).exec(text)?.[1]);
}

/** A feed as a reader fills it from what the database holds just now. */
async function fillFeed({ engines }: OperatedWorld, ids: string[]) {
  const { feedCache } = engines.feedCaches.at(1);
  const claim = await feedCache.claim(reader);
  assert.ok(claim);
  assert.ok(await feedCache.fill(claim, ids.toSorted().reverse(), true));
}

async function feed({ engines }: OperatedWorld): Promise<readonly string[]> {
  const page = await engines.feedCaches.at(1).feedCache.read(reader, { limit: 100 });
  assert.ok(page.state === "complete", page.state);
  return page.ids;
}

async function poisonedAndHealed(open: () => Promise<OperatedWorld>): Promise<void> {
  await using world = await open();
  const { engines } = world;
  const [future, refused, healthy] = [newId(), newId(), newId()];
  const beginning = [
    event("AccountRegistered", { accountId: reader, handle: "reader", displayName: null }),
    event("AccountRegistered", { accountId: author, handle: "author", displayName: null }),
    event("AccountFollowed", { followerId: reader, followeeId: author }),
    posted(future, "1"),
  ];
  let healed: Awaited<ReturnType<typeof dump>>;
  {
    await using live = await projecting(world);
    await engines.sql.execute(
      `ALTER TABLE read_model_v1.posts ADD CONSTRAINT bearable CHECK (caption <> 'poison')`,
    );
    await world.append(...beginning);
    await live.passed();
    await engines.log.append([
      fromTheFuture(await record(captioned(future, "2"))),
      await record(captioned(future, "3")),
      await record(posted(refused, "poison")),
    ]);
    await live.passed();
    await world.append(captioned(refused, "poison"), posted(healthy, "good"));
    await live.passed();

    const found = await world.ask("dlq.list", {});
    const parked = (parkedBy: string, key: string) =>
      found.letters.filter((letter) => letter.parkedBy === parkedBy && letter.key === key)
        .map(({ category }) => category);
    assert.deepEqual(parked("read_model", future), ["unknown-version", "behind"]);
    assert.deepEqual(parked("cards", future), ["unknown-version", "behind"]);
    assert.deepEqual(parked("feeds", future), ["unknown-version", "behind"]);
    assert.deepEqual(parked("read_model", refused), ["sql-23514", "behind"]);
    assert.deepEqual(parked("feeds", refused), []);
    assert.equal(found.total, 8);
    assert.equal(await parkedKeysMetric("read_model"), 2);
    assert.equal(await parkedKeysMetric("feeds"), 1);
    const [first] = found.letters.filter(({ parkedBy }) => parkedBy === "read_model");
    assert.ok(first);
    const { record: itsRecord } = await world.ask("dlq.show", { id: first.id });
    assert.match(itsRecord?.type ?? "", /^shutterlog\.(CaptionChanged\.v9|PostCreated\.v1)$/);

    const rows = await engines.live.query<{ post_id: string; caption: string }>(
      "SELECT post_id, caption FROM read_model.posts ORDER BY post_id",
    );
    assert.deepEqual(
      rows.map(({ post_id, caption }) => [post_id, caption]),
      [[future, "1"], [healthy, "good"]].sort(),
      "the others go on, and the parked stand still",
    );

    // Nothing is mended: nothing changes, and why is said.
    const vain = await world.ask("dlq.redrive", { key: `posts/${refused}` });
    assert.deepEqual(vain.redriven.map(({ applied, stuck }) => [applied, stuck?.category]), [
      [0, "sql-23514"],
    ]);
    assert.equal((await world.ask("dlq.list", {})).total, 8);

    // Filled while the refused post was missing.
    await fillFeed(world, [future, healthy]);
    const [kept] = await engines.cardCache.take([keyOf.post(refused)]);
    assert.ok(kept && "claim" in kept);
    await engines.cardCache.fill([{ claim: kept.claim, text: "no such post" }]);

    await engines.sql.execute("ALTER TABLE read_model_v1.posts DROP CONSTRAINT bearable");
    await world.append(captioned(refused, "later"));
    const mended = await world.ask("dlq.redrive", { key: refused });
    assert.deepEqual(mended.redriven.map(({ parkedBy, stuck }) => [parkedBy, stuck]), [
      ["read_model", undefined],
    ]);
    await live.passed();
    assert.ok((await feed(world)).includes(refused), "feeds were told");
    const [evicted] = await engines.cardCache.take([keyOf.post(refused)]);
    assert.ok(!evicted || "claim" in evicted, "cards were told");

    const stillFuture = await world.ask("dlq.redrive", { key: future });
    assert.ok(stillFuture.redriven.every(({ stuck }) => stuck?.category === "unknown-version"));
    const next: OperatedWorld = {
      ...world,
      engines: { ...engines, log: readByTheNextRelease(engines.log) },
    };
    const { operations } = await import("./operations.ts");
    const told = { signal: new AbortController().signal, onStep: () => {} };
    const all = await operations["dlq.redrive"].run(next.engines, {}, told);
    assert.deepEqual(
      all.redriven.map(({ parkedBy, applied, stuck }) => [parkedBy, applied, stuck]),
      [["read_model", 2, undefined], ["cards", 2, undefined], ["feeds", 2, undefined]],
    );
    assert.equal((await world.ask("dlq.list", {})).total, 0);
    assert.equal(await parkedKeysMetric("read_model"), 0);
    await world.append(captioned(future, "4"));
    await live.passed();
    healed = await dump(engines.sql, "read_model_v1");
  }
  const never = await openInMemory();
  try {
    const log = readByTheNextRelease(engines.log);
    await catchUp(readModel, { log, sql: never, sealer: openSealer, strict: true });
    const sorted = (tables: Record<string, string[]>) =>
      Object.fromEntries(Object.entries(tables).map(([name, rows]) => [name, rows.toSorted()]));
    assert.deepEqual(sorted(healed), sorted(await dump(never, "read_model_v1")));
  } finally {
    await never.close();
  }
}

Deno.test("dlq: poisoned keys are parked while others go on, and redriven in order equal a model that never met it", async () => {
  await poisonedAndHealed(openEmbeddedWorld);
});

if (servers) {
  const given = servers;
  Deno.test("dlq on Kafka, PostgreSQL and Redis: poisoned keys are parked and healed", async () => {
    await poisonedAndHealed(() => openNetworkedWorld(given));
  });
}

Deno.test("dlq: drop says what is lost, and the key goes on without it", async () => {
  await using world = await openEmbeddedWorld();
  await using live = await projecting(world);
  const postId = newId();
  await world.append(posted(postId, "1"));
  await world.engines.log.append([
    fromTheFuture(await record(captioned(postId, "2"))),
    await record(captioned(postId, "3")),
  ]);
  await live.passed();
  const caption = async () => {
    const [row] = await world.engines.live.query<{ caption: string }>(
      "SELECT caption FROM read_model.posts",
    );
    return row?.caption;
  };
  const { letters } = await world.ask("dlq.list", { parkedBy: "read_model" });
  const [poison] = letters;
  assert.ok(poison);
  await assert.rejects(world.ask("dlq.drop", { certain: true }), Refused);
  await assert.rejects(world.ask("dlq.drop", { id: "posts/3", certain: true }), Refused);
  const id = { id: poison.id };
  const asked = await world.ask("dlq.drop", { ...id, certain: false });
  assert.deepEqual([asked.letters, asked.dropped], [[poison], false]);
  assert.equal((await world.ask("dlq.list", { parkedBy: "read_model" })).total, 2);
  const dropped = await world.ask("dlq.drop", { ...id, certain: true });
  assert.deepEqual([dropped.dropped, dropped.behind], [true, 1]);
  await assert.rejects(world.ask("dlq.drop", { ...id, certain: true }), Refused);
  assert.equal(await caption(), "1");
  await world.ask("dlq.redrive", { key: postId, parkedBy: "read_model" });
  assert.equal(await caption(), "3");
  const rest = await world.ask("dlq.drop", { key: `posts/${postId}`, certain: true });
  assert.deepEqual([rest.dropped, rest.behind], [true, 0]);
  await world.append(captioned(postId, "4"));
  await live.passed();
  assert.equal(await caption(), "4");
  assert.equal((await world.ask("dlq.list", {})).total, 0);
});

Deno.test("dlq: a medium given up is listed once, until it is redriven or dropped", async () => {
  await using world = await openEmbeddedWorld();
  const { log } = world.engines;
  await assert.doesNotReject(world.ask("dlq.list", {}));
  await log.ensureTopics([retryTopic, deadLetterTopic].map((name) => ({ name, partitions: 16 })));
  const given = Array.from({ length: 3 }, () => {
    const [mediaId, ownerId] = [newId(), newId()];
    const data = { mediaId, ownerId, objectKey: "k", contentType: "image/jpeg", byteLength: 1 };
    return event("MediaUploaded", data);
  });
  for (const uploaded of given) {
    const [at] = await world.append(uploaded);
    assert.ok(at);
    const source = { ...await record(uploaded), ...at, timestamp: 0 };
    const last = { ...source, headers: { ...source.headers, shutterlog_attempt: "3" } };
    await log.append([afterFailure(last, new Error("out of luck"), new Date())]);
  }
  const { letters } = await world.ask("dlq.list", { parkedBy: "image-worker" });
  const [first, second] = letters;
  assert.ok(first && second && letters.length === 3);
  assert.match(first.id, /^image-worker\/media-dead-letters\/\d+\/\d+$/);
  assert.deepEqual([first.category, first.message], ["Error", "out of luck (after 4 attempts)"]);
  assert.equal((await world.ask("dlq.show", { id: first.id })).key, first.key);

  await world.ask("dlq.redrive", { id: first.id });
  await world.ask("dlq.drop", { id: second.id, certain: true });
  const left = await world.ask("dlq.list", {});
  assert.deepEqual(left.letters, letters.slice(2));
  await world.ask("dlq.redrive", {});
  assert.equal((await world.ask("dlq.list", {})).total, 0);

  const retried: (string | undefined)[][] = [];
  for (const { partition } of await log.watermarks([retryTopic])) {
    for await (const batch of log.read({ topic: retryTopic, partition }, 0)) {
      for (const { key, headers } of batch) {
        retried.push([key, headers.ce_type, headers.shutterlog_attempt, headers.shutterlog_error]);
      }
    }
  }
  const expected = [letters[0], letters[2]]
    .map((letter) => [letter?.key, "shutterlog.MediaUploaded.v1", undefined, undefined]);
  assert.deepEqual(retried.sort(), expected.sort());
});
