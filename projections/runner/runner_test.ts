import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import type { DomainEvent } from "../../domain/events.ts";
import { idOf } from "../../domain/given_when_then.ts";
import type { EventLog, NewRecord } from "../../infra/event-log/port.ts";
import { partitionOf } from "../../infra/event-log/partitioner.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { type Sql, SqlError } from "../../infra/sql/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { Applier, UnfitRecord } from "./applier.ts";
import { dropProjection, ensureProjection, VersionIsLive } from "./control.ts";
import { catchUp, Crash, CrashingSql, dump, encodeAll, openSealer } from "./harness.ts";
import { Progress } from "./progress.ts";
import type { EffectProjection, Recorded, TransactionalProjection } from "./projection.ts";
import { startProjector } from "./runner.ts";

const never = new AbortController().signal;

/** The n-th caption of the p-th post. */
function captioned(p: number, n: number, caption = `${n}`): DomainEvent {
  return {
    id: idOf(p * 1000 + n),
    type: "CaptionChanged",
    time: "2026-01-02T03:04:05.678Z",
    data: { postId: idOf(p), authorId: idOf(1), caption },
  };
}

function captionOf({ event }: Recorded): string | null {
  if (event.type !== "CaptionChanged") throw new Error(`unexpected ${event.type}`);
  return event.data.caption;
}

/** A record of the p-th post in a version that nobody reads yet. */
async function fromTheFuture(p: number, n: number): Promise<NewRecord> {
  const [record] = await encodeAll([captioned(p, n)]);
  assert.ok(record);
  return { ...record, headers: { ...record.headers, ce_type: "shutterlog.CaptionChanged.v9" } };
}

async function until(claim: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!await condition()) {
    assert.ok(Date.now() < deadline, `not in time: ${claim}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface World {
  readonly folder: string;
  readonly sql: Sql;
  readonly log: EventLog;
  /** Appends every caption in order, each post's to its own partition. */
  append(...events: DomainEvent[]): Promise<void>;
  /** A projection that keeps every caption in order; "poison" violates a constraint of its table. */
  readonly captions: TransactionalProjection;
  /** What it holds, by post. */
  kept(): Promise<Record<string, string[]>>;
  letters(): Promise<unknown[]>;
}

async function inWorld(sql: Sql, name: string, body: (world: World) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  const log = await openSqliteLog({ path: `${folder}/log.sqlite`, sessionTimeout: 1000 });
  try {
    await Deno.mkdir(`${folder}/migrations`);
    await Deno.writeTextFile(
      `${folder}/migrations/000001.sql`,
      `CREATE TABLE ${name}.captions (
         n serial PRIMARY KEY, post_id uuid, caption text CHECK (caption <> 'poison'));`,
    );
    await log.ensureTopics([{ name: "posts", partitions: 16 }]);
    await body({
      folder,
      sql,
      log,
      append: async (...events) => void await log.append(await encodeAll(events)),
      captions: {
        kind: "transactional",
        name,
        version: 1,
        topics: ["posts"],
        migrations: pathToFileURL(`${folder}/migrations/`),
        apply: async (events, transaction) => {
          for (const recorded of events) {
            await transaction.query(
              `INSERT INTO ${name}.captions (post_id, caption) VALUES ($1, $2)`,
              [
                recorded.event.type === "CaptionChanged" && recorded.event.data.postId,
                captionOf(recorded),
              ],
            );
          }
        },
      },
      kept: async () => {
        const rows = await sql.query<{ post_id: string; captions: string[] }>(
          `SELECT post_id, array_agg(caption ORDER BY n) AS captions
           FROM ${name}_v1.captions GROUP BY post_id ORDER BY post_id`,
        );
        return Object.fromEntries(rows.map(({ post_id, captions }) => [post_id, captions]));
      },
      letters: () =>
        sql.query(
          `SELECT key, record_offset, category FROM projections.dead_letters
           WHERE projection = $1 ORDER BY key, record_offset`,
          [name],
        ),
    });
  } finally {
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const [a, b, c] = [1, 2, 3];

Deno.test("projections/runner", async (t) => {
  const sql = await openInMemory();
  let worlds = 0;
  const step = (claim: string, body: (world: World) => Promise<void>) =>
    t.step(claim, () => inWorld(sql, `world${++worlds}`, body));
  const applierOf = ({ log, captions }: World, on: Sql = sql, strict = false) =>
    new Applier({
      log,
      sql: on,
      projection: captions,
      sealer: openSealer,
      progress: new Progress(sql),
      strict,
    });
  const recordsOf = async ({ log }: World, key: string) => {
    for (const { topic, partition } of await log.watermarks(["posts"])) {
      for await (const records of log.read({ topic, partition }, 0)) {
        if (records[0]?.key === key) return records;
      }
    }
    throw new Error(`nothing of ${key}`);
  };

  try {
    await step(
      "two projectors of one group share the work, and each record is applied once, in order",
      async (world) => {
        const { log, captions, append, kept } = world;
        const options = {
          log,
          sql,
          projections: [captions],
          sealer: openSealer,
          logger: silentLogger,
          maximumBatch: 7,
        };
        const posts = Array.from({ length: 12 }, (_, p) => p + 1);
        const half = (from: number) =>
          posts.flatMap((p) => Array.from({ length: 5 }, (_, n) => captioned(p, from + n)));
        await append(...half(1));
        const first = await startProjector(options);
        const second = await startProjector(options);
        await append(...half(6));
        const counted = async () => Object.values(await kept()).flat().length;
        await until("all applied", async () => await counted() === 120);
        await first.stop();
        await append(...posts.map((p) => captioned(p, 11)));
        await until("the one that is left goes on", async () => await counted() === 132);
        await second.stop();
        const inOrder = Array.from({ length: 11 }, (_, n) => `${n + 1}`);
        assert.deepEqual(
          await kept(),
          Object.fromEntries(posts.map((p) => [idOf(p), inOrder])),
        );
      },
    );

    await step(
      "live parks what cannot be read or applied with all that follows of its key; other keys go on",
      async (world) => {
        const { log, captions, append, kept, letters } = world;
        await append(captioned(a, 1), captioned(b, 1), captioned(c, 1));
        await append(captioned(a, 2, "poison"), captioned(a, 3), captioned(b, 2));
        await log.append([await fromTheFuture(c, 2)]);
        await append(captioned(c, 3), captioned(b, 3));
        const projector = await startProjector({
          log,
          sql,
          projections: [captions],
          sealer: openSealer,
          logger: silentLogger,
        });
        await until("the other key goes on", async () => (await kept())[idOf(b)]?.length === 3);
        await until("the rest is parked", async () => (await letters()).length === 4);
        await append(captioned(a, 4));
        await until("what comes later too", async () => (await letters()).length === 5);
        const shown = await metrics.metrics();
        await projector.stop();
        assert.deepEqual(await kept(), {
          [idOf(a)]: ["1"],
          [idOf(b)]: ["1", "2", "3"],
          [idOf(c)]: ["1"],
        });
        assert.deepEqual(await letters(), [
          { key: idOf(a), record_offset: 1, category: "sql-23514" },
          { key: idOf(a), record_offset: 2, category: "behind" },
          { key: idOf(a), record_offset: 3, category: "behind" },
          { key: idOf(c), record_offset: 1, category: "unknown-version" },
          { key: idOf(c), record_offset: 2, category: "behind" },
        ]);
        const name = captions.name;
        assert.match(shown, new RegExp(`parked_keys{projection="${name}"} 2\n`));
        assert.match(shown, new RegExp(`lag_records{projection="${name}",topic="posts"} 0\n`));
        assert.match(shown, new RegExp(`events_applied_total{projection="${name}"} 5\n`));
      },
    );

    await step(
      "strict stops at what live would park, says where and why, and keeps what came before",
      async (world) => {
        const { log, captions, append, kept, letters } = world;
        await append(captioned(a, 1), captioned(a, 2));
        await catchUp(captions, { log, sql, sealer: openSealer, strict: true });
        await log.append([await fromTheFuture(a, 3)]);
        const rebuild = () => catchUp(captions, { log, sql, sealer: openSealer, strict: true });
        const partition = partitionOf(idOf(a), 16);
        await assert.rejects(
          rebuild(),
          (error) =>
            error instanceof UnfitRecord && error.category === "unknown-version" &&
            error.message.includes(`posts/${partition} at offset 2`),
        );
        await append(captioned(b, 1, "poison"));
        await assert.rejects(rebuild(), UnfitRecord);
        assert.deepEqual(await kept(), { [idOf(a)]: ["1", "2"] });
        assert.deepEqual(await letters(), []);
      },
    );

    await step("a redelivered batch changes nothing, and neither does a zombie", async (world) => {
      const { log, captions, append, kept } = world;
      await append(captioned(a, 1), captioned(a, 2), captioned(a, 3), captioned(a, 4));
      await ensureProjection(sql, log, captions);
      const records = await recordsOf(world, idOf(a));
      const zombie = applierOf(world);
      await zombie.startAt(records.slice(0, 1));
      const owner = applierOf(world);
      await owner.take(records.slice(0, 2), never);
      await owner.take(records.slice(0, 2), never);
      await zombie.take(records.slice(0, 2), never);
      assert.deepEqual(await kept(), { [idOf(a)]: ["1", "2"] });
      await zombie.take(records.slice(1, 4), never);
      assert.deepEqual(await kept(), { [idOf(a)]: ["1", "2", "3", "4"] });
      await owner.take(records.slice(2, 4), never);
      assert.deepEqual(await kept(), { [idOf(a)]: ["1", "2", "3", "4"] });
    });

    await step("what another owner has parked holds back what follows of it", async (world) => {
      const { log, captions, append, kept, letters } = world;
      await append(captioned(a, 1), captioned(a, 2, "poison"), captioned(a, 3));
      await ensureProjection(sql, log, captions);
      const records = await recordsOf(world, idOf(a));
      const next = applierOf(world);
      await next.startAt(records.slice(0, 1));
      await applierOf(world).take(records.slice(0, 2), never);
      await next.take(records.slice(2), never);
      assert.deepEqual(await kept(), { [idOf(a)]: ["1"] });
      assert.deepEqual(await letters(), [
        { key: idOf(a), record_offset: 1, category: "sql-23514" },
        { key: idOf(a), record_offset: 2, category: "behind" },
      ]);
    });

    await step(
      "a batch lost before its commit leaves neither rows nor checkpoint and can come again",
      async (world) => {
        const { log, captions, append, kept } = world;
        await append(captioned(a, 1), captioned(a, 2));
        await ensureProjection(sql, log, captions);
        const records = await recordsOf(world, idOf(a));
        const crashing = new CrashingSql(sql);
        crashing.crashNext = true;
        const applier = applierOf(world, crashing);
        await assert.rejects(applier.take(records, never), Crash);
        assert.deepEqual(await kept(), {});
        await applier.take(records, never);
        assert.deepEqual(await kept(), { [idOf(a)]: ["1", "2"] });
      },
    );

    await step(
      "what lies between the checkpoint and a batch is read from the log",
      async (world) => {
        const { log, captions, append, kept } = world;
        await append(captioned(a, 1), captioned(a, 2), captioned(a, 3));
        await ensureProjection(sql, log, captions);
        await applierOf(world).take((await recordsOf(world, idOf(a))).slice(2), never);
        assert.deepEqual(await kept(), { [idOf(a)]: ["1", "2", "3"] });
      },
    );

    await step("trouble with an engine parks nothing and passes", async (world) => {
      const { log, captions, append, kept, letters } = world;
      await append(captioned(a, 1));
      const troubles = ["08006", "57P01", "40001", "40P01", "53300"];
      const troubled: TransactionalProjection = {
        ...captions,
        apply: async (events, transaction) => {
          const code = troubles.shift();
          if (code !== undefined) throw new SqlError(code, "it will pass");
          await captions.apply(events, transaction);
        },
      };
      await ensureProjection(sql, log, troubled);
      const projector = await startProjector({
        log,
        sql,
        projections: [troubled],
        sealer: openSealer,
        logger: silentLogger,
      });
      await until("it passes", async () => (await kept())[idOf(a)]?.length === 1);
      await projector.stop();
      assert.deepEqual(troubles, []);
      assert.deepEqual(await letters(), []);
    });

    await step(
      "an effect comes after the projections it names, before its own checkpoint",
      async (world) => {
        const { log, captions, append, kept, letters } = world;
        const effects: { caption: string | null; keptThen: number; checkpoint: number }[] = [];
        const effect: EffectProjection = {
          kind: "effect",
          name: `${captions.name}_effect`,
          version: 1,
          topics: ["posts"],
          after: [captions.name],
          apply: async (events) => {
            const rows = await kept();
            const [row] = await sql.query<{ sum: number }>(
              `SELECT sum(next_offset)::bigint AS sum FROM projections.checkpoints
             WHERE projection = $1`,
              [effect.name],
            );
            for (const event of events) {
              effects.push({
                caption: captionOf(event),
                keptThen: rows[idOf(a)]?.length ?? 0,
                checkpoint: row?.sum ?? -1,
              });
            }
          },
        };
        // The effect is started first and has its records in hand before the other begins.
        await ensureProjection(sql, log, captions);
        await append(captioned(a, 1), captioned(a, 2));
        const shared = {
          log,
          sql,
          sealer: openSealer,
          logger: silentLogger,
          progress: new Progress(sql),
        };
        const later = await startProjector({ ...shared, projections: [effect] });
        const earlier = await startProjector({ ...shared, projections: [captions] });
        await until("the effect", () => Promise.resolve(effects.length === 2));
        await until("its checkpoint", async () => {
          const rows = await sql.query(
            "SELECT FROM projections.checkpoints WHERE projection = $1 AND next_offset = 2",
            [effect.name],
          );
          return rows.length === 1;
        });
        await later.stop();
        await earlier.stop();
        assert.deepEqual(effects, [
          { caption: "1", keptThen: 2, checkpoint: 0 },
          { caption: "2", keptThen: 2, checkpoint: 0 },
        ]);
        assert.deepEqual(await letters(), []);
      },
    );

    await step(
      "a rebuild from offset 0 gives the same bytes; only what is not live can be dropped",
      async (world) => {
        const { log, captions, append } = world;
        await append(captioned(a, 1), captioned(a, 2), captioned(a, 3));
        const again = { ...captions, version: 2 };
        const options = { log, sql, sealer: openSealer, strict: true };
        assert.equal(await catchUp(captions, options), 3);
        assert.equal(await catchUp(captions, options), 0);
        assert.equal(await catchUp(again, { ...options, batchSize: 2 }), 3);
        const live = await dump(sql, `${captions.name}_v1`);
        assert.equal(live.captions?.length, 3);
        assert.deepEqual(await dump(sql, `${captions.name}_v2`), live);
        await assert.rejects(dropProjection(sql, captions.name, 1), VersionIsLive);
        await dropProjection(sql, captions.name, 2);
        await assert.rejects(sql.query(`SELECT FROM ${captions.name}_v2.captions`), SqlError);
        assert.equal(await catchUp(again, options), 3);
      },
    );
  } finally {
    await sql.close();
  }
});
