import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { newId } from "../event-log/ids.ts";
import { partitionOf } from "../event-log/partitioner.ts";
import { type Appended, type EventLog, type LogRecord, LogUnavailable } from "../event-log/port.ts";
import { openSqliteLog } from "../event-log/sqlite.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { type Caused, type OutboxRelay, RelayStopped, startOutboxRelay } from "./outbox.ts";
import type { Identity } from "./port.ts";
import { openSqliteIdentity } from "./sqlite.ts";

const topic = "accounts";
const partitions = 16;

interface Setting {
  readonly path: string;
  readonly identity: Identity;
  readonly log: EventLog;
  relay(over?: { identity?: Identity; log?: Pick<EventLog, "append" | "watermarks"> }): OutboxRelay;
  /** Every record in the log, each partition's in order. */
  records(): Promise<LogRecord[]>;
}

function test(claim: string, body: (setting: Setting) => Promise<void>): void {
  Deno.test(`startOutboxRelay: ${claim}`, async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/identity.db`;
    const identity = await openSqliteIdentity({ path });
    const log = await openSqliteLog({ path: `${folder}/log.db` });
    const relays: OutboxRelay[] = [];
    try {
      await log.ensureTopics([{ name: topic, partitions }]);
      await body({
        path,
        identity,
        log,
        relay: (over) => {
          const relay = startOutboxRelay({ identity, log, logger: silentLogger, ...over });
          relays.push(relay);
          return relay;
        },
        records: () => readAll(log),
      });
    } finally {
      for (const relay of relays) await relay.stop();
      await identity.closeStore();
      await log.close();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

async function readAll(log: EventLog): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    for await (const batch of log.read({ topic, partition }, 0)) records.push(...batch);
  }
  return records;
}

async function register(identity: Identity): Promise<Caused> {
  const [accountId, eventId] = [newId(), newId()];
  await identity.register({
    accountId,
    handle: accountId,
    passwordHash: "hash",
    record: () =>
      Promise.resolve({ topic, key: accountId, value: "{}", headers: { ce_id: eventId } }),
  });
  return { topic, key: accountId, eventId };
}

async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function emptied(identity: Identity): Promise<void> {
  const empty = async () => (await identity.pendingOutbox(1)).length === 0;
  return eventually("the outbox is empty", empty);
}

/** What stands at a place of the log. */
function at(records: readonly LogRecord[], place: Appended): string | undefined {
  return records.find((record) =>
    record.partition === place.partition && record.offset === place.offset
  )?.headers.ce_id;
}

/** Asserts that all are in the log, and where several share a partition first appear in order. */
function assertDelivered(records: readonly LogRecord[], caused: readonly Caused[]): void {
  for (let partition = 0; partition < partitions; partition++) {
    const expected = caused.filter(({ key }) => partitionOf(key, partitions) === partition);
    const found = records.filter((record) => record.partition === partition);
    deepStrictEqual(
      [...new Set(found.map(({ headers }) => headers.ce_id))],
      expected.map(({ eventId }) => eventId),
    );
  }
}

test("deliver gives the place of the very record", async ({ identity, relay, records }) => {
  const { deliver } = relay();
  const places = await Promise.all(Array.from({ length: 30 }, async () => {
    const caused = await register(identity);
    return { caused, place: await deliver(caused) };
  }));
  const found = await records();
  strictEqual(found.length, 30);
  for (const { caused, place } of places) strictEqual(at(found, place), caused.eventId);
  await emptied(identity);
});

test("what waited before it started goes first, once and in order", async (setting) => {
  const { identity, relay, records } = setting;
  const caused: Caused[] = [];
  for (let index = 0; index < 250; index++) caused.push(await register(identity));
  const last = caused.at(-1);
  ok(last);
  const place = await relay().deliver(last);
  const found = await records();
  strictEqual(found.length, 250);
  strictEqual(at(found, place), last.eventId);
  assertDelivered(found, caused);
  await emptied(identity);
});

test("a registration and a closure of one account each get their own place", async (setting) => {
  const { identity, relay, records } = setting;
  const registered = await register(identity);
  const closed = { ...registered, eventId: newId() };
  const headers = { ce_id: closed.eventId };
  await identity.close(registered.key, { topic, key: registered.key, value: "{}", headers });
  const { deliver } = relay();
  const [first, second] = await Promise.all([deliver(registered), deliver(closed)]);
  const found = await records();
  strictEqual(at(found, first), registered.eventId);
  strictEqual(at(found, second), closed.eventId);
  strictEqual(second.offset, first.offset + 1);
});

test("a poke is enough", async ({ identity, relay }) => {
  const { poke } = relay();
  await register(identity);
  poke();
  await emptied(identity);
});

test("what another process leaves is found without a poke", async ({ path, identity, relay }) => {
  relay();
  const other = await openSqliteIdentity({ path });
  await register(other);
  await other.closeStore();
  await emptied(identity);
});

test("while the log fails nothing is lost, and each record comes once it is back", async (setting) => {
  const { identity, log, relay, records } = setting;
  const failures = ["before", "after", "before", "after", "after"];
  const relaying = relay({
    log: {
      async append(batch) {
        const failure = failures.shift();
        if (failure === "before") throw new LogUnavailable("away");
        const appended = await log.append(batch);
        // The acknowledgement is lost: the records are there, but the relay cannot know.
        if (failure === "after") throw new LogUnavailable("away");
        return appended;
      },
      watermarks: (topics) => log.watermarks(topics),
    },
  });
  const caused: Caused[] = [];
  while (failures.length > 0) {
    const registered = await register(identity);
    caused.push(registered);
    await rejects(relaying.deliver(registered), LogUnavailable);
  }
  const last = await register(identity);
  caused.push(last);
  const place = await relaying.deliver(last);
  const found = await records();
  strictEqual(at(found, place), last.eventId);
  assertDelivered(found, caused);
  await emptied(identity);
});

test("when rows cannot be removed their records come again", async (setting) => {
  const { identity, relay, records } = setting;
  let failures = 2;
  const failing: Identity = Object.create(identity, {
    pendingOutbox: { value: (limit: number) => identity.pendingOutbox(limit) },
    removeOutbox: {
      value: (ids: number[]) =>
        failures-- > 0 ? Promise.reject(new Error("away")) : identity.removeOutbox(ids),
    },
  });
  const { deliver } = relay({ identity: failing });
  const first = await register(identity);
  await deliver(first);
  const second = await register(identity);
  await deliver(second);
  await emptied(identity);
  const found = await records();
  assertDelivered(found, [first, second]);
  ok(found.length > 2);
});

test("an error is told", async ({ identity, log }) => {
  const told = Promise.withResolvers<unknown>();
  const failure = new LogUnavailable("away");
  await register(identity);
  const relay = startOutboxRelay({
    identity,
    logger: silentLogger,
    onError: told.resolve,
    log: {
      append: () => Promise.reject(failure),
      watermarks: (topics) => log.watermarks(topics),
    },
  });
  strictEqual(await told.promise, failure);
  await relay.stop();
});

test("two relays repeat records at most, and both know where theirs are", async (setting) => {
  const { path, identity, relay, records } = setting;
  const other = await openSqliteIdentity({ path });
  const relays = [relay(), relay({ identity: other })];
  const delivered = await Promise.all(
    Array.from({ length: 4 }, async (_, lane) => {
      const own = lane % 2 === 0 ? identity : other;
      const places: { caused: Caused; place: Appended | undefined }[] = [];
      for (let index = 0; index < 50; index++) {
        const caused = await register(own);
        places.push({ caused, place: await relays[lane % 2]?.deliver(caused) });
      }
      return places;
    }),
  );
  await emptied(identity);
  const found = await records();
  for (const { caused, place } of delivered.flat()) {
    // Whoever has read up to the place has read the record.
    ok(
      found.some(({ partition, offset, headers }) =>
        place && partition === place.partition && offset <= place.offset &&
        headers.ce_id === caused.eventId
      ),
    );
  }
  for (const each of relays) await each.stop();
  await other.closeStore();
});

test("what another relay has delivered lies before the place that is given", async (setting) => {
  const { identity, relay, records } = setting;
  const caused = await register(identity);
  const first = relay();
  const place = await first.deliver(caused);
  await emptied(identity);
  await first.stop();
  deepStrictEqual(await relay().deliver(caused), place);
  strictEqual((await records()).length, 1);
});

test("what is committed just after the outbox was read gets its own place", async (setting) => {
  const { identity, log, relay, records } = setting;
  const [read, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow: Identity = Object.create(identity, {
    pendingOutbox: {
      value: async (limit: number) => {
        const rows = await identity.pendingOutbox(limit);
        read.resolve();
        await go.promise;
        return rows;
      },
    },
    removeOutbox: { value: (ids: number[]) => identity.removeOutbox(ids) },
  });
  const { deliver } = relay({ identity: slow });
  await read.promise;
  const caused = await register(identity);
  // The partition has an end already, which is not the place.
  await log.append([{ topic, key: caused.key, value: "{}", headers: { ce_id: newId() } }]);
  const delivery = deliver(caused);
  go.resolve();
  const place = await delivery;
  strictEqual(at(await records(), place), caused.eventId);
});

test("what was never in the outbox is not said to be delivered", async ({ relay }) => {
  const never = { topic, key: newId(), eventId: newId() };
  await rejects(relay().deliver(never), /nothing was delivered/);
});

test("stop finishes what is in hand, and nothing is delivered after it", async (setting) => {
  const { identity, log, relay, records } = setting;
  const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const relaying = relay({
    log: {
      async append(batch) {
        reached.resolve();
        await go.promise;
        return log.append(batch);
      },
      watermarks: (topics) => log.watermarks(topics),
    },
  });
  const caused = await register(identity);
  const delivery = relaying.deliver(caused);
  await reached.promise;
  const stopped = relaying.stop();
  await rejects(relaying.deliver(caused), RelayStopped);
  go.resolve();
  await stopped;
  strictEqual(at(await records(), await delivery), caused.eventId);
  deepStrictEqual(await identity.pendingOutbox(1), []);
});
