import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { createInterface } from "node:readline/promises";
import { Readable } from "node:stream";
import { DatabaseSync } from "node:sqlite";
import { newId } from "../event-log/ids.ts";
import { identityContract, textKeyOf } from "./contract.ts";
import { openSqliteIdentity } from "./sqlite.ts";
import type { Said } from "./sqlite_test_client.ts";

identityContract("openSqliteIdentity", async () => {
  const folder = await Deno.makeTempDir();
  return {
    connect: () => openSqliteIdentity({ path: `${folder}/identity.db` }),
    remove: () => Deno.remove(folder, { recursive: true }),
  };
});

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("openSqliteIdentity: what is killed leaves every registration whole or none of it", () =>
  inFolder(async (folder) => {
    const path = `${folder}/identity.db`;
    const deliveries = `${folder}/deliveries`;
    const registering = new Map<string, string>();
    const acknowledged = new Set<string>();
    const reserved = new Map<string, readonly string[]>();

    for (let round = 0; round < 5; round++) {
      // Two at a time, with the same handles.
      await Promise.all([1, 2].map(async () => {
        for await (const said of sayings([path, deliveries, `round${round}.`])) {
          if (said.said === "registering") registering.set(said.accountId, said.handle);
          else if (said.said === "registered") acknowledged.add(said.accountId);
          else reserved.set(said.key, said.ids);
        }
      }));

      const identity = await openSqliteIdentity({ path });
      const pending = (await identity.pendingOutbox(100_000)).map(({ record }) => record.key);
      const delivered = new Set((await Deno.readTextFile(deliveries)).split("\n"));
      const holders = new Set<string>();
      for (const [accountId, handle] of registering) {
        const registered = await identity.credentials({ accountId }) !== undefined;
        const rows = pending.filter((key) => key === accountId).length;
        strictEqual(await textKeyOf(identity, accountId) !== undefined, registered);
        strictEqual(rows > 0 || delivered.has(accountId), registered);
        ok(rows <= 1);
        ok(registered || !acknowledged.has(accountId));
        if (!registered) continue;
        ok(!holders.has(handle));
        holders.add(handle);
      }
      for (const [key, ids] of reserved) {
        const request = { scope: "client", key, bodyHash: "body", ids: ["other"], now: new Date() };
        deepStrictEqual(await identity.reserve(request), { outcome: "reserved", ids, retry: true });
      }
      await identity.closeStore();
    }
    ok(acknowledged.size > 50 && acknowledged.size < registering.size);
  }));

/** What a client says until it is killed, which is after a drawn number of sayings. */
async function* sayings(args: string[]): AsyncGenerator<Said> {
  const client = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("./sqlite_test_client.ts", import.meta.url).pathname, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let left = 20 + Math.floor(Math.random() * 150);
  try {
    // Lines written before the kill are still in the pipe after it, and count.
    for await (const line of createInterface(Readable.from(client.stdout))) {
      yield JSON.parse(line);
      if (--left === 0) client.kill("SIGKILL");
    }
    strictEqual((await client.status).signal, "SIGKILL");
  } finally {
    await client[Symbol.asyncDispose]();
  }
}

Deno.test("openSqliteIdentity: of a dropped key no file holds a byte", () =>
  inFolder(async (folder) => {
    const identity = await openSqliteIdentity({ path: `${folder}/identity.db` });
    const accountId = newId();
    const record = { topic: "accounts", key: accountId, value: "{}", headers: {} };
    await identity.register({
      accountId,
      handle: "Grace",
      passwordHash: "hash",
      record: () => Promise.resolve(record),
    });
    const key = await textKeyOf(identity, accountId);
    ok(key);
    ok(await held(folder, key));
    await identity.close(accountId, record);
    ok(!await held(folder, key));
    await identity.closeStore();
  }));

async function held(folder: string, bytes: Uint8Array): Promise<boolean> {
  const found: boolean[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    found.push((await Deno.readFile(`${folder}/${name}`)).toHex().includes(bytes.toHex()));
  }
  return found.includes(true);
}

Deno.test("openSqliteIdentity: its files are their owner's alone", () =>
  inFolder(async (folder) => {
    const identity = await openSqliteIdentity({ path: `${folder}/made/identity.db` });
    await identity.removeOutbox([]);
    const files = [...Deno.readDirSync(`${folder}/made`)].map(({ name }) => name).sort();
    deepStrictEqual(files, ["identity.db", "identity.db-shm", "identity.db-wal"]);
    for (const file of files) {
      strictEqual((await Deno.stat(`${folder}/made/${file}`)).mode, 0o100600);
    }
    await identity.closeStore();
  }));

Deno.test("openSqliteIdentity: the event loop goes on while another connection holds the lock", () =>
  inFolder(async (folder) => {
    const path = `${folder}/identity.db`;
    const identity = await openSqliteIdentity({ path });
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    let reserved = false;
    const reservation = identity.reserve({
      scope: "client",
      key: "key",
      bodyHash: "body",
      ids: [],
      now: new Date(),
    }).then(() => reserved = true);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve));
    strictEqual(reserved, false);
    strictEqual(await textKeyOf(identity, newId()), undefined);
    other.exec("COMMIT");
    other.close();
    await reservation;
    await identity.closeStore();
  }));

Deno.test("openSqliteIdentity: what has expired is swept", () =>
  inFolder(async (folder) => {
    const path = `${folder}/identity.db`;
    const identity = await openSqliteIdentity({ path });
    const day = 24 * 60 * 60 * 1000;
    for (let index = 0; index < 100; index++) {
      const request = { scope: "client", key: `${index}`, bodyHash: "body", ids: [] };
      await identity.reserve({ ...request, now: new Date(index * day) });
    }
    await identity.closeStore();
    const database = new DatabaseSync(path);
    deepStrictEqual(database.prepare("SELECT key FROM reservations").all().map(({ key }) => key), [
      "99",
    ]);
    database.close();
  }));

Deno.test("openSqliteIdentity: a file of a later version is refused", () =>
  inFolder(async (folder) => {
    const path = `${folder}/identity.db`;
    const database = new DatabaseSync(path);
    database.exec("PRAGMA user_version = 1000");
    database.close();
    await rejects(openSqliteIdentity({ path }), /schema 1000 is newer/);
  }));
