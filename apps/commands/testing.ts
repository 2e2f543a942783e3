/** What the tests of commands share: the edge on real engines, in folders of its own. */
import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { topics } from "../../domain/event.ts";
import { decodeEvent } from "../../infra/event-log/codec.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { type EventLog, LogUnavailable } from "../../infra/event-log/port.ts";
import type { Position } from "../../infra/event-log/position.ts";
import { openSqliteLog } from "../../infra/event-log/sqlite.ts";
import { Idempotency } from "../../infra/http/idempotency.ts";
import { createRateLimits } from "../../infra/http/rate-limit.ts";
import { RequestDigest } from "../../infra/http/request-digest.ts";
import { TestCounts, testEdge } from "../../infra/http/testing.ts";
import { AnswerSeal } from "../../infra/identity/answer-seal.ts";
import { startOutboxRelay } from "../../infra/identity/outbox.ts";
import { hashPassword, verifyPassword } from "../../infra/identity/passwords.ts";
import { AccountSealer } from "../../infra/identity/sealing.ts";
import { Sessions } from "../../infra/identity/sessions.ts";
import { openSqliteIdentity } from "../../infra/identity/sqlite.ts";
import { AccessTokens } from "../../infra/identity/tokens.ts";
import { temporaryStore } from "../../infra/object-store/local-fixture.ts";
import { migrate } from "../../infra/sql/migrate.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { silentLogger } from "../../infra/telemetry/logger.ts";
import { createManifests } from "../../projections/manifests/manifests.ts";
import { readModel } from "../../projections/read-model/read-model.ts";
import { createCommands } from "./commands.ts";
import { signedUploads } from "./signed-uploads.ts";

const partitions = 4;
const projections = [readModel, createManifests({ cdnBaseUrl: "https://cdn.example" })];
const secret = new Uint8Array(32).fill(3);

/** For all the worlds of one test file: each has ids of its own. */
async function openDatabase(): Promise<Sql> {
  const sql = await openInMemory();
  for (const { migrations, name } of projections) await migrate(sql, migrations, name);
  return sql;
}

export type World = Awaited<ReturnType<typeof openWorld>>;

/** Projections see nothing of the log before somebody waits for a position, or `catchUp` is called. */
async function openWorld(sql: Sql, { rateLimitScale = 0 } = {}) {
  const folder = await Deno.makeTempDir();
  const sqlite = await openSqliteLog({ path: `${folder}/log.sqlite` });
  await sqlite.ensureTopics([...topics, signedUploads].map((name) => ({ name, partitions })));
  const logSwitch = { down: false };
  const log: Pick<EventLog, "append" | "watermarks"> = {
    append: (records) =>
      logSwitch.down ? Promise.reject(new LogUnavailable("switched off")) : sqlite.append(records),
    watermarks: (names) => sqlite.watermarks(names),
  };
  const identity = await openSqliteIdentity({ path: `${folder}/identity.sqlite` });
  const { store } = await temporaryStore({ folder: `${folder}/objects` });
  const outbox = startOutboxRelay({ identity, log, logger: silentLogger });
  const accessTokens = await AccessTokens.create({ secrets: [secret], issuer: "urn:test" });
  const sealer = new AccountSealer({ identity });
  const next = new Map<string, number>();

  async function* unread(seen: Map<string, number>): AsyncGenerator<(typeof recorded)[number]> {
    for (const { topic, partition } of await sqlite.watermarks(topics)) {
      const place = `${topic}:${partition}`;
      for await (const records of sqlite.read({ topic, partition }, seen.get(place) ?? 0)) {
        for (const record of records) {
          seen.set(place, record.offset + 1);
          yield {
            topic,
            partition,
            offset: record.offset,
            event: await decodeEvent(record, sealer),
          };
        }
      }
    }
  }
  const recorded: { topic: string; partition: number; offset: number; event: DomainEvent }[] = [];

  async function catchUp(): Promise<void> {
    const batch = await Array.fromAsync(unread(next));
    for (const projection of projections) {
      const wanted = batch.filter(({ topic }) => projection.topics.some((name) => name === topic));
      await sql.transaction((transaction) => projection.apply(wanted, transaction));
    }
  }

  const waitedFor: Position[] = [];
  const counts = new TestCounts();
  const rateLimits = createRateLimits({
    logger: silentLogger,
    scale: rateLimitScale,
    store: counts.store,
  });
  const edge = testEdge().route(
    "/",
    createCommands({
      log,
      identity,
      sessions: new Sessions({ identity, accessTokens }),
      accessTokens,
      passwords: { hash: hashPassword, verify: verifyPassword },
      outbox,
      sealer,
      store,
      sql,
      progress: {
        reached: async (position) => {
          waitedFor.push(position);
          await catchUp();
          return true;
        },
      },
      rateLimits,
      idempotency: new Idempotency({
        identity,
        seal: await AnswerSeal.derive(secret),
        digest: await RequestDigest.derive(secret),
        newId,
        now: () => new Date(),
      }),
      now: () => new Date(),
      newId,
    }),
  );

  const send = async (
    method: string,
    path: string,
    { token, body, headers = {} }: {
      token?: string;
      body?: unknown;
      headers?: Record<string, string>;
    } = {},
  ) =>
    await edge.request(path, {
      method,
      headers: {
        ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });

  const world = {
    send,
    store,
    identity,
    logSwitch,
    waitedFor,
    catchUp,
    /** Every event in the log, its text opened, in no order across partitions. */
    events: async () => (await Array.fromAsync(unread(new Map()))).map(({ event }) => event),
    async signUp(handle: string) {
      const response = await send("POST", "/v1/accounts", { body: { handle, password } });
      assert.equal(response.status, 201, await response.clone().text());
      const { account, ...tokens } = await response.json();
      return { id: String(account.id), token: String(tokens.accessToken), tokens };
    },
    /** Signs an upload, and puts the bytes where a client would have. */
    async upload(person: { id: string; token: string }): Promise<string> {
      const bytes = new Uint8Array(3);
      const response = await send("POST", "/v1/media", {
        token: person.token,
        body: { contentType: "image/jpeg", byteLength: bytes.length },
      });
      assert.equal(response.status, 201, await response.clone().text());
      const { mediaId } = await response.json();
      await store.put(`originals/${person.id}/${mediaId}`, bytes, { contentType: "image/jpeg" });
      return mediaId;
    },
    async post(person: { id: string; token: string }): Promise<string> {
      const mediaIds = [await world.upload(person)];
      const response = await send("POST", "/v1/posts", { token: person.token, body: { mediaIds } });
      assert.equal(response.status, 201, await response.clone().text());
      return (await response.json()).postId;
    },
    async close() {
      counts[Symbol.dispose]();
      await outbox.stop();
      await store.close();
      await identity.closeStore();
      await sqlite.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
  return world;
}

export const password = "correct horse battery";

let database: Sql;

/** Runs a test in a world of its own, on this file's database. */
export function inWorld(
  test: (world: World) => Promise<void>,
  options?: { rateLimitScale?: number },
): () => Promise<void> {
  return async () => {
    const world = await openWorld(database, options);
    try {
      await test(world);
    } finally {
      await world.close();
    }
  };
}

Deno.test.beforeAll(async () => {
  database = await openDatabase();
});
Deno.test.afterAll(() => database.close());
