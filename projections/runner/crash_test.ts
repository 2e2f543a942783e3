import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { idOf, now } from "../../domain/given_when_then.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openInFolder } from "../../infra/sql/pglite_fixture.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { ensureProjection } from "./control.ts";
import { encodeAll, fileEffect, openSealer } from "./harness.ts";
import { Progress } from "./progress.ts";
import { startProjector } from "./runner.ts";

const modules = (...paths: string[]) =>
  paths.map((path) => JSON.stringify(import.meta.resolve(path)));

Deno.test("startProjector: killed between the effect and its checkpoint, the effect comes again and nothing is left out", async () => {
  const folder = await Deno.makeTempDir();
  const log = await openSqliteLog({ path: `${folder}/log.sqlite`, sessionTimeout: 1000 });
  try {
    await log.ensureTopics([{ name: "posts", partitions: 2 }]);
    const captioned = (n: number): DomainEvent => ({
      id: idOf(n),
      type: "CaptionChanged",
      time: now,
      data: { postId: idOf(7), authorId: idOf(1), caption: `${n}` },
    });
    await log.append(await encodeAll([1, 2, 3, 4].map(captioned)));

    const [sqlite, pglite, logger, harness, runner] = modules(
      "../../infra/event-log/sqlite.ts",
      "../../infra/sql/pglite.ts",
      "../../infra/telemetry/logger.ts",
      "./harness.ts",
      "./runner.ts",
    );
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--ext=ts",
        `
        import { openSqliteLog } from ${sqlite};
        import { openPglite } from ${pglite};
        import { silentLogger } from ${logger};
        import { fileEffect, openSealer } from ${harness};
        import { startProjector } from ${runner};
        const folder = ${JSON.stringify(folder)};
        const effect = fileEffect(folder + "/effects");
        await startProjector({
          log: await openSqliteLog({ path: folder + "/log.sqlite", sessionTimeout: 1000 }),
          sql: await openPglite({ folder: folder + "/sql" }),
          projections: [{
            ...effect,
            apply: async (events, signal) => {
              await effect.apply(events, signal);
              console.log("the effect is there");
              await new Promise(() => setInterval(() => {}, 1000));
            },
          }],
          sealer: openSealer,
          logger: silentLogger,
          maximumBatch: 3,
        });`,
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (text.includes("the effect is there")) break;
    }
    child.kill("SIGKILL");
    await child.status;
    const effects = async () => (await Deno.readTextFile(`${folder}/effects`)).trim().split("\n");
    assert.deepEqual(await effects(), ["1", "2", "3"]);

    const sql = await openInFolder(`${folder}/sql`);
    try {
      const effect = fileEffect(`${folder}/effects`);
      await ensureProjection(sql, log, effect);
      const progress = new Progress(sql);
      const projector = await startProjector({
        log,
        sql,
        projections: [effect],
        sealer: openSealer,
        logger: silentLogger,
        progress,
      });
      const [last] = await log.append(await encodeAll([captioned(5)]));
      assert.ok(last);
      assert.ok(await progress.reached([last], [effect.name], 30_000));
      await projector.stop();
    } finally {
      await sql.close();
    }
    assert.deepEqual(await effects(), ["1", "2", "3", "1", "2", "3", "4", "5"]);
  } finally {
    await log.close();
    await Deno.remove(folder, { recursive: true });
  }
});
