import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { createMemoryCardCache } from "../../infra/card-cache/memory.ts";
import { noEdgeCache } from "../../infra/edge-cache/none.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { createMemoryFeedCaches } from "../../infra/feed-cache/memory.ts";
import { temporaryStore } from "../../infra/object-store/local-fixture.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { openSealer } from "../../projections/runner/harness.ts";
import { Progress } from "../../projections/runner/progress.ts";
import { LiveSql } from "../../projections/runner/live-schemas.ts";
import { runProjector } from "./projector.ts";
import { until } from "./testing_until.ts";
import { ensureTopics } from "./topics.ts";

Deno.test("runProjector: when the CDN's host has changed, manifests are made again from the log", async () => {
  const folder = await Deno.makeTempDir({ prefix: "shutterlog-projector-" });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => Deno.remove(folder, { recursive: true }));
  const log = await openSqliteLog({ path: `${folder}/log.sqlite` });
  cleanup.defer(() => log.close());
  const sql = await openInMemory();
  cleanup.defer(() => sql.close());
  const { store } = cleanup.use(await temporaryStore());
  await ensureTopics(log);

  const [mediaId, ownerId] = [newId(), newId()];
  const variant = { objectKey: `v/${mediaId}`, width: 150, height: 150, byteLength: 9 } as const;
  const shown = { ...variant, contentType: "image/webp" as const };
  const ready: DomainEvent = {
    type: "VariantsReady",
    id: newId(),
    time: new Date().toISOString(),
    data: {
      mediaId,
      ownerId,
      recipe: 1,
      placeholder: "AAAA",
      width: 1080,
      height: 720,
      variants: { thumbnail: shown, medium: shown, large: shown },
    },
  };
  await log.append([await encodeEvent(ready, openSealer)]);

  /** A run on this host, until it is through: the manifest that stood then. */
  const run = async (cdnBaseUrl: string) => {
    const progress = new Progress(sql);
    const projector = await runProjector({
      log,
      sql,
      feedCaches: createMemoryFeedCaches(),
      cardCache: createMemoryCardCache(),
      store,
      edge: noEdgeCache,
      sealer: openSealer,
    }, {
      cdnBaseUrl,
      pullThreshold: 10_000,
      progress,
      logger: silentLogger,
      remakeManifests: true,
    });
    try {
      const passed = async () => {
        const rows = await sql.query<{ projection: string }>(
          `SELECT projection FROM projections.checkpoints
           WHERE topic = 'media' AND next_offset = 1 AND projection IN ('cards', 'manifests')`,
        );
        return rows.length === 2;
      };
      await until("cards and manifests have passed it", passed);
      const [row] = await new LiveSql(sql).query<{ manifest: string }>(
        "SELECT manifest FROM manifests.media WHERE media_id = $1",
        [mediaId],
      );
      return row?.manifest ?? "";
    } finally {
      await projector.stop();
    }
  };

  assert.ok((await run("https://one.example")).includes("https://one.example/"));
  assert.ok((await run("https://two.example")).includes("https://two.example/"));
});
