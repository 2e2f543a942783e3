import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import type { DomainEvent } from "../../domain/events.ts";
import { idOf, now } from "../../domain/given_when_then.ts";
import type { EventLog, NewRecord } from "../../infra/event-log/port.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openInFolder } from "../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { openPostgres } from "../../infra/sql/postgres.ts";
import { createDatabase, onPostgres } from "../../infra/sql/postgres_fixture.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { lettersOf, parkedKeysOf } from "./dead-letters.ts";
import { encodeAll, fileEffect, openSealer } from "./harness.ts";
import { Progress } from "./progress.ts";
import type { EffectProjection, Projection, TransactionalProjection } from "./projection.ts";
import { redriveKey } from "./redrive.ts";
import { startProjector } from "./runner.ts";

const never = new AbortController().signal;
const postId = idOf(7);

function captioned(n: number): DomainEvent {
  const data = { postId, authorId: idOf(1), caption: `${n}` };
  return { id: idOf(n), type: "CaptionChanged", time: now, data };
}

async function records(from: number, count: number): Promise<NewRecord[]> {
  return await encodeAll(Array.from({ length: count }, (_, n) => captioned(from + n)));
}

function fromTheFuture(record: NewRecord): NewRecord {
  return { ...record, headers: { ...record.headers, ce_type: "shutterlog.CaptionChanged.v9" } };
}

/** As the release reads it that knows version 9. */
function lifted(log: EventLog): Pick<EventLog, "read" | "watermarks"> {
  return {
    watermarks: (topics) => log.watermarks(topics),
    async *read(partition, from, options) {
      for await (const batch of log.read(partition, from, options)) {
        yield batch.map((record) => ({
          ...record,
          headers: { ...record.headers, ce_type: "shutterlog.CaptionChanged.v1" },
        }));
      }
    },
  };
}

/** Takes an event twice for two: what it holds shows each time it was applied. */
async function captions(folder: string): Promise<TransactionalProjection> {
  await Deno.mkdir(`${folder}/migrations`, { recursive: true });
  await Deno.writeTextFile(
    `${folder}/migrations/000001.sql`,
    "CREATE TABLE captions.kept (n serial PRIMARY KEY, caption text);",
  );
  return {
    kind: "transactional",
    name: "captions",
    version: 1,
    topics: ["posts"],
    migrations: pathToFileURL(`${folder}/migrations/`),
    apply: async (events, transaction) => {
      for (const { event } of events) {
        const caption = event.type === "CaptionChanged" ? event.data.caption : "?";
        await transaction.query("INSERT INTO captions.kept (caption) VALUES ($1)", [caption]);
      }
    },
  };
}

async function kept(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ caption: string }>(
    "SELECT caption FROM captions_v1.kept ORDER BY n",
  );
  return rows.map(({ caption }) => caption);
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => `${n + 1}`);

interface Scene {
  readonly folder: string;
  readonly log: EventLog;
  readonly sql: Sql;
}

async function inScene(
  open: (folder: string) => Promise<Sql>,
  body: (scene: Scene) => Promise<void>,
) {
  const folder = await Deno.makeTempDir();
  const log = await openSqliteLog({ path: `${folder}/log.sqlite`, sessionTimeout: 1_000 });
  const sql = await open(folder);
  try {
    await log.ensureTopics([{ name: "posts", partitions: 2 }]);
    await body({ folder, log, sql });
  } finally {
    await sql.close();
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Live goes on appending to the key while it is redriven; returns once both are through. */
async function redriveUnderWay({ log, sql }: Scene, projection: Projection): Promise<void> {
  const progress = new Progress(sql);
  const { sealer, logger } = { sealer: openSealer, logger: silentLogger };
  const projections = [projection];
  const [poison, ...behind] = await records(1, 10);
  assert.ok(poison);
  const projector = await startProjector({
    ...{ log, sql, projections, sealer, logger, progress },
    maximumBatch: 3,
  });
  try {
    const parked = await log.append([fromTheFuture(poison), ...behind]);
    assert.ok(await progress.reached(parked.slice(-1), [projection.name], 30_000));
    const [key] = await parkedKeysOf(sql, { projection: projection.name });
    assert.ok(key);
    assert.equal((await lettersOf(sql, projection, key, 100)).length, 10);

    let last = parked;
    const writing = (async () => {
      for (let n = 11; n <= 60; n++) last = await log.append(await records(n, 1));
    })();
    const services = { log: lifted(log), sql, sealer, projections };
    const { applied, stuck } = await redriveKey(services, projection, key, never);
    assert.equal(stuck, undefined);
    assert.ok(applied >= 10, `${applied}`);
    await writing;
    assert.ok(await progress.reached(last, [projection.name], 30_000));
    assert.deepEqual(await parkedKeysOf(sql, {}), [], "the key goes on live");
  } finally {
    await projector.stop();
  }
}

function underWay(where: string, open: (folder: string) => Promise<Sql>): void {
  Deno.test(`redriveKey on ${where}: while live goes on, each event is applied once and in order`, async () => {
    await inScene(open, async (scene) => {
      await redriveUnderWay(scene, await captions(scene.folder));
      assert.deepEqual(await kept(scene.sql), upTo(60));
    });
  });

  Deno.test(`redriveKey on ${where}: an effect lacks no event of the key, and none comes before an earlier one`, async () => {
    await inScene(open, async (scene) => {
      const path = `${scene.folder}/effects`;
      // Slow enough that batches are under way when the letters go.
      const { apply, ...effect } = fileEffect(path);
      const slow: EffectProjection = {
        ...effect,
        async apply(events, signal) {
          await new Promise((resolve) => setTimeout(resolve, 15));
          await apply(events, signal);
        },
      };
      await redriveUnderWay(scene, slow);
      const seen = (await Deno.readTextFile(path)).trim().split("\n");
      assert.deepEqual([...new Set(seen)], upTo(60));
    });
  });
}

underWay("PGlite", (folder) => openInFolder(`${folder}/sql`));

onPostgres("projections/runner/redrive", (server) => {
  underWay("PostgreSQL", async () => {
    const { url, remove } = await createDatabase(server);
    const sql = await openPostgres({ url });
    return {
      query: (text, parameters) => sql.query(text, parameters),
      execute: (text) => sql.execute(text),
      copy: (table, columns, rows) => sql.copy(table, columns, rows),
      transaction: (work) => sql.transaction(work),
      close: async () => {
        await sql.close();
        await remove();
      },
    };
  });
});

Deno.test("redriveKey: killed between applying and telling, nothing is applied twice and everyone is told", async () => {
  const folder = await Deno.makeTempDir();
  const log = await openSqliteLog({ path: `${folder}/log.sqlite`, sessionTimeout: 1_000 });
  try {
    await log.ensureTopics([{ name: "posts", partitions: 2 }]);
    const projection = await captions(folder);
    const [poison, ...behind] = await records(1, 4);
    assert.ok(poison);
    const parked = await log.append([fromTheFuture(poison), ...behind]);
    {
      const sql = await openInFolder(`${folder}/sql`);
      const progress = new Progress(sql);
      const projector = await startProjector({
        ...{ log, sql, progress, sealer: openSealer, logger: silentLogger },
        projections: [projection],
      });
      assert.ok(await progress.reached(parked.slice(-1), ["captions"], 30_000));
      await projector.stop();
      await sql.close();
    }

    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", new URL(import.meta.url).pathname, folder],
      env: { REDRIVE_TO_BE_KILLED: "1" },
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (text.includes("telling")) break;
    }
    child.kill("SIGKILL");
    await child.status;

    const sql = await openInFolder(`${folder}/sql`);
    try {
      const [key] = await parkedKeysOf(sql, {});
      assert.ok(key);
      const left = await lettersOf(sql, projection, key, 100);
      assert.deepEqual(left.map(({ category }) => category), Array(4).fill("applied"));
      assert.deepEqual(await kept(sql), upTo(4));
      const effect = { ...fileEffect(`${folder}/effects`), after: ["captions"] };
      const services = {
        ...{ log: lifted(log), sql, sealer: openSealer },
        projections: [projection, effect],
      };
      assert.deepEqual(await redriveKey(services, projection, key, never), { applied: 4 });
      assert.deepEqual(await parkedKeysOf(sql, {}), []);
      assert.deepEqual(await kept(sql), upTo(4));
      const told = (await Deno.readTextFile(`${folder}/effects`)).trim().split("\n");
      assert.deepEqual(told, upTo(4));
    } finally {
      await sql.close();
    }
  } finally {
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("redriveKey: of what fits only in part, the part is applied and the rest says why it stays", async () => {
  await inScene(
    (folder) => openInFolder(`${folder}/sql`),
    async ({ folder, log, sql }) => {
      const projection = await captions(folder);
      const all = await records(1, 4);
      const [first, second, third, fourth] = all;
      assert.ok(first && second && third && fourth);
      const unreadable = { ...third, value: "not JSON" };
      const parked = await log.append([fromTheFuture(first), second, unreadable, fourth]);
      const progress = new Progress(sql);
      const projector = await startProjector({
        ...{ log, sql, progress, sealer: openSealer, logger: silentLogger },
        projections: [projection],
      });
      assert.ok(await progress.reached(parked.slice(-1), ["captions"], 30_000));
      await projector.stop();
      const [key] = await parkedKeysOf(sql, {});
      assert.ok(key);
      const services = { log: lifted(log), sql, sealer: openSealer, projections: [projection] };
      const { applied, stuck } = await redriveKey(services, projection, key, never);
      assert.deepEqual([applied, stuck?.offset, stuck?.category], [2, 2, "malformed-record"]);
      assert.deepEqual(await kept(sql), ["1", "2"]);
      const left = await lettersOf(sql, projection, key, 100);
      assert.deepEqual(left.map(({ offset, category }) => [offset, category]), [
        [2, "malformed-record"],
        [3, "behind"],
      ]);
    },
  );
});

// As a program: redrives, and is killed while it tells those that come after.
if (Deno.env.has("REDRIVE_TO_BE_KILLED")) {
  const folder = Deno.args[0] ?? "";
  const log = await openSqliteLog({ path: `${folder}/log.sqlite`, sessionTimeout: 1_000 });
  const sql = await openInFolder(`${folder}/sql`);
  const projection = await captions(folder);
  const [key] = await parkedKeysOf(sql, {});
  assert.ok(key);
  const hanging: Projection = {
    ...fileEffect(`${folder}/never`),
    after: ["captions"],
    apply: async () => {
      console.log("telling");
      await new Promise(() => setInterval(() => {}, 1_000));
    },
  };
  const services = {
    ...{ log: lifted(log), sql, sealer: openSealer },
    projections: [projection, hanging],
  };
  await redriveKey(services, projection, key, never);
}
