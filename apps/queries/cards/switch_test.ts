/** What is kept of cards and feeds when another version of what they are made of becomes live. */
import assert from "node:assert/strict";
import type { DomainEvent } from "../../../domain/events.ts";
import { idOf, now as time } from "../../../domain/given_when_then.ts";
import { createMemoryCardCache } from "../../../infra/card-cache/memory.ts";
import { newId } from "../../../infra/event-log/ids.ts";
import { createMemoryFeedCaches } from "../../../infra/feed-cache/memory.ts";
import { migrate } from "../../../infra/sql/migrate.ts";
import { openInMemory } from "../../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../../infra/sql/port.ts";
import { silentLogger } from "../../../infra/telemetry/logger.ts";
import { createCards } from "../../../projections/cards/cards.ts";
import { createManifests } from "../../../projections/manifests/manifests.ts";
import { followFeeds } from "../../../projections/feeds/live-feeds.ts";
import { readModel } from "../../../projections/read-model/read-model.ts";
import { ensureControl } from "../../../projections/runner/control.ts";
import { atVersions, LiveSql } from "../../../projections/runner/live-schemas.ts";
import { announce } from "../../projector/definitions.ts";
import { Hydration } from "./hydration.ts";

const [author, post] = [idOf(1), idOf(2)];
const never = new AbortController().signal;

function captioned(caption: string): DomainEvent {
  const data = { postId: post, authorId: author, caption };
  return { id: newId(), type: "CaptionChanged", time, data };
}

/** Two versions of the read model that say different things, the first of them live. */
async function openVersions() {
  const sql = await openInMemory();
  await ensureControl(sql);
  const manifests = createManifests({ cdnBaseUrl: "https://cdn.example" });
  await migrate(sql, manifests.migrations, "manifests", "manifests_v1");
  await sql.execute("INSERT INTO projections.live (projection, version) VALUES ('manifests', 1)");
  const apply = (version: number, ...events: DomainEvent[]) =>
    readModel.apply(
      events.map((event, offset) => ({ topic: "posts", partition: 0, offset, event })),
      atVersions(sql, new Map([["read_model", version]])),
    );
  for (const [version, caption] of [[1, "Dawn"], [2, "Dusk"]] as const) {
    await migrate(sql, readModel.migrations, "read_model", `read_model_v${version}`);
    await apply(
      version,
      {
        ...{ id: newId(), type: "AccountRegistered", time },
        data: { accountId: author, handle: "ada", displayName: null },
      },
      {
        ...{ id: newId(), type: "PostCreated", time },
        data: { postId: post, authorId: author, mediaIds: [idOf(3)], caption, altTexts: {} },
      },
    );
  }
  await sql.execute("INSERT INTO projections.live (projection, version) VALUES ('read_model', 1)");
  return { sql, apply };
}

async function switchTo(sql: Sql, version: number): Promise<void> {
  await sql.query(
    `UPDATE projections.live SET version = $1, switches = switches + 1, previous = version,
       switched_at = clock_timestamp() WHERE projection = 'read_model'`,
    [version],
  );
}

Deno.test("cards: after a switch nobody is shown what was kept of the version before", async () => {
  const { sql, apply } = await openVersions();
  const cardCache = createMemoryCardCache();
  /** A process of its own; its clock stands still, so that it sees a switch when it is told. */
  const process = () => {
    const live = new LiveSql(sql, () => 0);
    const hydration = new Hydration({ sql: live, live, cardCache, logger: silentLogger });
    const caption = async () => {
      const { cards: [card] } = await hydration.hydrate(undefined, [post]);
      return /"caption":"(\w+)"/.exec(card?.item ?? "")?.[1];
    };
    return { caption, hydration };
  };
  const [first, second] = [process(), process()];
  assert.deepEqual([await first.caption(), await second.caption()], ["Dawn", "Dawn"]);

  await switchTo(sql, 2);
  assert.equal(await first.caption(), "Dawn", "warm, and not told");
  await announce("read_model", { cardCache });
  await first.hydration.caughtUp();
  assert.deepEqual([await first.caption(), await second.caption()], ["Dusk", "Dusk"]);

  // What a change evicts, it evicts under the generation that some may still go by.
  const before = new LiveSql(sql, () => 0);
  await before.refresh();
  await switchTo(sql, 1);
  const late = new Hydration({ sql: before, live: before, cardCache, logger: silentLogger });
  await late.hydrate(undefined, [post]);
  await apply(2, captioned("Midnight"));
  await createCards({ cardCache, live: new LiveSql(sql) }).apply(
    [{ topic: "posts", partition: 0, offset: 0, event: captioned("Midnight") }],
    never,
  );
  await late.caughtUp();
  const { cards: [card] } = await late.hydrate(undefined, [post]);
  assert.match(card?.item ?? "", /Midnight/);

  await announce("read_model", { cardCache });
  await first.hydration.caughtUp();
  assert.equal(await first.caption(), "Dawn", "back at version 1, which says so");
  for (const { hydration } of [first, second]) await hydration.stop();
  await late.stop();
  await sql.close();
});

Deno.test("cards: a switch of feeds leaves what is kept as it is, here and in other processes", async () => {
  const { sql } = await openVersions();
  await sql.execute("INSERT INTO projections.live (projection, version) VALUES ('feeds', 1)");
  const cardCache = createMemoryCardCache();
  let readings = 0;
  const process = () => {
    const live = new LiveSql({
      ...{ execute: (text) => sql.execute(text), copy: (...args) => sql.copy(...args) },
      query: (text, parameters) => {
        if (/read_model_v1/.test(text)) readings++;
        return sql.query(text, parameters);
      },
    });
    return new Hydration({ sql: live, live, cardCache, logger: silentLogger });
  };
  const [first, second] = [process(), process()];
  await first.hydrate(undefined, [post]);
  await first.stop();
  assert.ok(readings > 0);
  readings = 0;
  await sql.execute(
    `UPDATE projections.live SET version = 2, switches = 1, switched_at = clock_timestamp()
     WHERE projection = 'feeds'`,
  );
  await announce("feeds", { cardCache });
  await second.hydrate(undefined, [post]);
  assert.equal(readings, 0, "found in the cache that is shared");
  await announce("feeds", { cardCache });
  await second.caughtUp();
  await second.hydrate(undefined, [post]);
  assert.equal(readings, 0);
  await second.stop();
  await sql.close();
});

Deno.test("followFeeds: reads and fills the live version, and a claim in that alone", async () => {
  const { sql } = await openVersions();
  await sql.execute("INSERT INTO projections.live (projection, version) VALUES ('feeds', 1)");
  let clock = 0;
  const live = new LiveSql(sql, () => clock);
  const caches = createMemoryFeedCaches();
  const { feedCache } = followFeeds(live, caches);
  const reader = idOf(9);

  const claim = await feedCache.claim(reader);
  assert(claim);
  assert(await feedCache.fill(claim, [post], true));
  assert.deepEqual((await feedCache.read(reader, { limit: 1 })).state, "complete");

  const lateClaim = await feedCache.claim(idOf(8));
  assert(lateClaim);
  await sql.execute(
    "UPDATE projections.live SET version = 2, switches = 1 WHERE projection = 'feeds'",
  );
  clock = 1_000;
  assert.equal((await feedCache.read(reader, { limit: 1 })).state, "missing");
  assert.equal(await feedCache.fill(lateClaim, [post], true), false, "who is pulled may differ");
  const claimed = await feedCache.claim(reader);
  assert(claimed && await feedCache.fill(claimed, [], true));
  assert.equal((await caches.at(1).feedCache.read(reader, { limit: 1 })).state, "complete");
  await sql.close();
});

Deno.test("LiveSql: while the database cannot tell what is live, it is what it was", async () => {
  const { sql } = await openVersions();
  let clock = 0;
  const live = new LiveSql(sql, () => clock);
  const { versions } = await live.pointer();
  assert.equal(live.pointer() instanceof Promise, false, "no wait while it is young");
  await sql.close();
  clock = 60_000;
  assert.equal((await live.pointer()).versions, versions);
});

Deno.test("LiveSql: a reading that was under way when something was switched is not gone by", async () => {
  const { sql } = await openVersions();
  const live = new LiveSql(sql, () => 0);
  await live.refresh();
  const reading = live.refresh();
  await switchTo(sql, 2);
  live.invalidate();
  await reading;
  const [row] = await live.query<{ caption: string }>("SELECT caption FROM read_model.posts");
  assert.equal(row?.caption, "Dusk");
  await sql.close();
});
