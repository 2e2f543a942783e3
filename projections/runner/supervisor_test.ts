import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { readModel } from "../read-model/read-model.ts";
import { dropProjection } from "./control.ts";
import { openSealer } from "./harness.ts";
import { define } from "./projection.ts";
import { superviseProjections } from "./supervisor.ts";
import { follow, openNext, versionsOf } from "./versions.ts";

const definition = define(readModel);

/** The same database, where a version is dropped just after somebody has seen that it is to be followed. */
function droppingOnceSeen(sql: Sql, version: number): Sql & { dropped: boolean } {
  const dropping = {
    dropped: false,
    query: async <Row>(text: string, parameters?: readonly unknown[]) => {
      const rows = await sql.query<Row & { version?: number }>(text, parameters);
      const seen = text.includes("state = 'followed'") &&
        rows.some((row) => row.version === version);
      if (seen && !dropping.dropped) {
        dropping.dropped = true;
        await dropProjection(sql, readModel.name, version);
      }
      return rows;
    },
    execute: (text: string) => sql.execute(text),
    copy: (...copied: Parameters<Sql["copy"]>) => sql.copy(...copied),
    transaction: <T>(work: Parameters<typeof sql.transaction<T>>[0]) => sql.transaction(work),
    close: () => sql.close(),
  };
  return dropping;
}

Deno.test("superviseProjections: a version that is dropped as it is taken up stays dropped", async () => {
  const folder = await Deno.makeTempDir();
  const log = await openSqliteLog({ path: `${folder}/log.sqlite` });
  const sql = await openInMemory();
  try {
    await log.ensureTopics(readModel.topics.map((name) => ({ name, partitions: 2 })));
    const supervised = droppingOnceSeen(sql, 2);
    const projector = await superviseProjections({
      log,
      sql: supervised,
      definitions: [definition],
      sealer: openSealer,
      logger: silentLogger,
      announce: () => Promise.resolve(),
    });
    try {
      const { version } = await openNext(sql, log, definition);
      assert.equal(version, 2);
      await follow(sql, readModel.name, version);
      while (!supervised.dropped) await delay(20);
      // Time to take it up, and to look again.
      await delay(2_500);
    } finally {
      await projector.stop();
    }
    assert.deepEqual((await versionsOf(sql, readModel.name)).map(({ version }) => version), [1]);
    const left = await sql.query(
      `SELECT 'schema' AS kind FROM pg_namespace WHERE nspname = 'read_model_v2'
       UNION ALL SELECT 'checkpoint' FROM projections.checkpoints WHERE version = 2`,
    );
    assert.deepEqual(left, []);
  } finally {
    await log.close();
    await sql.close();
    await Deno.remove(folder, { recursive: true });
  }
});
