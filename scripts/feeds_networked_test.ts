import assert from "node:assert/strict";
import { FeedFiller } from "../apps/queries/feed-filler.ts";
import { ensureTopics } from "../apps/projector/topics.ts";
import type { DomainEvent } from "../domain/events.ts";
import { loadNetworkedConfig } from "../infra/config/config.ts";
import { NetworkedEngines } from "../infra/config/networked.ts";
import { encodeEvent } from "../infra/event-log/codec.ts";
import { newId } from "../infra/event-log/ids.ts";
import { parseId } from "../infra/feed-cache/sorted-ids.ts";
import { closeRedis, openRedis } from "../infra/redis/client.ts";
import { createDatabase } from "../infra/sql/postgres_fixture.ts";
import { silentLogger } from "../infra/telemetry/logger.ts";
import { createFeeds } from "../projections/feeds/feeds.ts";
import { createManifests } from "../projections/manifests/manifests.ts";
import { readModel } from "../projections/read-model/read-model.ts";
import { openSealer } from "../projections/runner/harness.ts";
import { LiveSql } from "../projections/runner/live-schemas.ts";
import { startProjector } from "../projections/runner/runner.ts";
import { until } from "./end-to-end/until.ts";

const [kafka, postgres, redis] = ["KAFKA", "POSTGRES", "REDIS"].map((name) =>
  Deno.env.get(`SHUTTERLOG_TEST_${name}`)
);
if (kafka === undefined || postgres === undefined || redis === undefined) {
  console.log("SHUTTERLOG_TEST_KAFKA, _POSTGRES or _REDIS is not set: feeds are verified nowhere");
} else {
  Deno.test("deno task feeds, on the networked engines: a feed made wrong by hand is found, and mended", async () => {
    await using cleanup = new AsyncDisposableStack();
    const database = await createDatabase(postgres);
    cleanup.defer(() => database.remove());
    const env = {
      KAFKA_BROKERS: kafka,
      POSTGRES_URL: database.url,
      REDIS_URL: redis,
      S3_BUCKET: "none",
      S3_ACCESS_KEY_ID: "none",
      S3_SECRET_ACCESS_KEY: "none",
      CDN_BASE_URL: "https://cdn.example",
      SERVER_SECRETS: crypto.getRandomValues(new Uint8Array(32)).toBase64(),
    };
    const engines = new NetworkedEngines(loadNetworkedConfig(env), silentLogger);
    cleanup.defer(() => engines.close());
    const [log, sql] = [await engines.log(), await engines.sql()];
    const { feedCache: cache, authorCache } = engines.feedCaches().at(1);
    await ensureTopics(log);

    const [reader, author, stranger, post, other] = [1, 2, 3, 4, 5].map(() => newId()) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const said = [
      { type: "AccountRegistered", data: { accountId: reader, handle: `r.${reader.slice(-12)}` } },
      { type: "AccountRegistered", data: { accountId: author, handle: `a.${author.slice(-12)}` } },
      { type: "AccountFollowed", data: { followerId: reader, followeeId: author } },
      ...[post, other].map((postId) => ({
        type: "PostCreated",
        data: { postId, authorId: author, mediaIds: [newId()], caption: "Dawn", altTexts: {} },
      })),
    ].map((one) => ({ ...one, id: newId(), time: new Date().toISOString() }) as DomainEvent);
    await log.append(await Promise.all(said.map((event) => encodeEvent(event, openSealer))));

    const live = new LiveSql(sql);
    const feeds = createFeeds({ cache, authorCache, sql: live, pullThreshold: 10_000 });
    const projector = await startProjector({
      log,
      sql,
      projections: [readModel, createManifests({ cdnBaseUrl: env.CDN_BASE_URL }), feeds.projection],
      sealer: openSealer,
      logger: silentLogger,
    });
    cleanup.defer(() => projector.stop());
    await until("the feeds have passed it", async () => {
      const rows = await sql.query<{ passed: number }>(
        `SELECT coalesce(sum(next_offset), 0)::bigint AS passed FROM projections.checkpoints
         WHERE projection = 'feeds'`,
      );
      const watermarks = await log.watermarks(feeds.projection.topics);
      return rows[0]?.passed === watermarks.reduce((sum, { high }) => sum + high, 0);
    });
    const fill = async () => {
      const claim = await cache.claim(reader);
      assert.ok(claim);
      const filler = new FeedFiller({ primary: live, cache, authorCache, logger: silentLogger });
      filler.fillFeed(claim);
      await filler.drain();
    };
    await fill();
    cleanup.defer(() => cache.drop([reader]));

    const task = (...args: string[]) => feedsTask(args, env);
    const shown = await task("explain", reader, post);
    assert.match(shown.told, /on the networked engines/);
    assert.match(shown.out, /It is in the feed: served from the cache, at place 2\./);
    assert.equal(shown.code, 0);
    const right = await task("verify", `r.${reader.slice(-12)}`);
    assert.match(right.out, /^1 cached feeds and 0 authors' lists compared, 0 differ/);
    assert.equal(right.code, 0, right.told);

    const client = openRedis({ url: redis }, silentLogger);
    cleanup.defer(() => closeRedis(client));
    const key = `feed:${reader}`;
    assert.equal(await client.lrem(key, 0, Buffer.from(parseId(post))), 1);
    await client.lpushx(key, Buffer.from(parseId(stranger)));

    const lacking = await task("explain", reader, post);
    assert.match(lacking.out, /It belongs in the feed and is missing from the cache/);
    assert.equal(lacking.code, 1);
    const found = await task("verify", reader, "--json");
    assert.deepEqual(JSON.parse(found.out).differences, [
      { kind: "feed", id: reader, missing: [post], unknown: [stranger] },
    ]);
    assert.equal(found.code, 1, found.told);
    assert.equal(
      (await cache.read(reader, { limit: 9 })).state,
      "complete",
      "it was only looked at",
    );

    const mended = await task("verify", reader, "--repair");
    assert.match(mended.out, new RegExp(`lacks ${post}\\n.*has ${stranger}`));
    assert.match(mended.out, /1 differ; 1 forgotten, to be filled anew/);
    assert.equal(mended.code, 1);
    assert.equal((await cache.read(reader, { limit: 9 })).state, "missing");
    await fill();
    assert.equal((await task("verify", reader)).code, 0);
    assert.equal((await task("explain", reader, post)).code, 0);
  });

  Deno.test("deno task feeds: an environment that lacks something ends with 2 and names it", async () => {
    const { code, told } = await feedsTask(["verify"], { KAFKA_BROKERS: kafka });
    assert.equal(code, 2);
    assert.match(told, /POSTGRES_URL/);
    assert.ok(!told.includes("    at "), told);
  });
}

async function feedsTask(args: readonly string[], env: Record<string, string>) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("feeds.ts", import.meta.url).pathname, ...args],
    env: { NO_COLOR: "1", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), told: decoder.decode(stderr) };
}
