import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { newId } from "../event-log/ids.ts";
import type { Sql } from "../sql/port.ts";
import { openPostgres } from "../sql/postgres.ts";
import { createDatabase, onPostgres } from "../sql/postgres_fixture.ts";
import { identityContract, textKeyOf } from "./contract.ts";
import type { Identity } from "./port.ts";
import { openPostgresIdentity } from "./postgres.ts";

onPostgres("infra/identity", (server) => {
  identityContract("postgres", async () => {
    const { url, remove } = await createDatabase(server);
    return { connect: async () => openPostgresIdentity(await openPostgres({ url })), remove };
  });

  const test = (claim: string, body: (identity: Identity, sql: Sql) => Promise<void>) =>
    Deno.test(`openPostgresIdentity: ${claim}`, async () => {
      const { url, remove } = await createDatabase(server);
      const identity = await openPostgresIdentity(await openPostgres({ url }));
      const sql = await openPostgres({ url, connections: 1 });
      try {
        await body(identity, sql);
      } finally {
        await sql.close();
        await identity.closeStore();
        await remove();
      }
    });

  const record = (key: string) => ({ topic: "accounts", key, value: "{}", headers: {} });

  async function registered(identity: Identity): Promise<string> {
    const accountId = newId();
    await identity.register({
      accountId,
      handle: `a${accountId}`,
      passwordHash: "hash",
      record: () => Promise.resolve(record(accountId)),
    });
    return accountId;
  }

  test("no session outlives the closing it raced", async (identity, sql) => {
    const expiresAt = new Date(Date.now() + 3_600_000);
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round++) {
      const accountId = await registered(identity);
      const create = () => {
        const [familyId, tokenHash] = [newId(), newId()];
        return identity.createSession({ familyId, accountId, tokenHash, expiresAt });
      };
      const before = Array.from({ length: round % 5 }, create);
      const closing = identity.close(accountId, record(accountId));
      const after = Array.from({ length: 4 - round % 5 }, create);
      await closing;
      for (const outcome of await Promise.all([...before, ...after])) outcomes.add(outcome);
    }
    deepStrictEqual(await sql.query("SELECT * FROM identity.sessions"), []);
    deepStrictEqual(outcomes, new Set(["created", "account-not-open"]), "they did not race");
  });

  test(
    "a token whose session is being revoked is unknown, not used again",
    async (identity, sql) => {
      const now = new Date();
      const expiresAt = new Date(now.getTime() + 3_600_000);
      const [familyId, tokenHash, accountId] = [newId(), newId(), await registered(identity)];
      await identity.createSession({ familyId, accountId, tokenHash, expiresAt });
      let rotating: ReturnType<Identity["rotateSession"]> | undefined;
      await sql.transaction(async (revoking) => {
        await revoking.query("DELETE FROM identity.sessions WHERE family_id = $1", [familyId]);
        rotating = identity.rotateSession(tokenHash, { tokenHash: newId(), expiresAt }, now);
        const deadline = Date.now() + 30_000;
        while ((await revoking.query("SELECT FROM pg_locks WHERE NOT granted")).length === 0) {
          ok(Date.now() < deadline, "the rotation does not wait");
        }
      });
      deepStrictEqual(await rotating, { outcome: "unknown" });
    },
  );

  test("what has expired is swept, by many at a time too", async (identity, sql) => {
    const day = 24 * 60 * 60 * 1000;
    for (let index = 0; index < 20; index++) {
      await Promise.all(Array.from({ length: 10 }, (_, lane) =>
        identity.reserve({
          scope: "client",
          key: `${lane}/${index % 3}`,
          bodyHash: "body",
          ids: [],
          now: new Date(index * day),
        })));
    }
    const rows = await sql.query("SELECT DISTINCT expires_at FROM identity.reservations");
    deepStrictEqual(rows, [{ expires_at: new Date(20 * day) }]);
  });

  test(
    "of a dropped key the table's file holds no byte once it is written anew",
    async (identity, sql) => {
      const accountId = await registered(identity);
      await registered(identity);
      const key = await textKeyOf(identity, accountId);
      ok(key);
      const held = async () => {
        await sql.execute("CHECKPOINT");
        const [row] = await sql.query<{ at: number }>(
          `SELECT position($1::bytea IN pg_read_binary_file(pg_relation_filepath('identity.text_keys'))) AS at`,
          [key],
        );
        return row?.at !== 0;
      };
      strictEqual(await held(), true);
      await identity.close(accountId, record(accountId));
      // Dead rows are written anew with the others as long as a snapshot is older than their end: a
      // replica reports its own every ten seconds.
      const deadline = Date.now() + 60_000;
      do {
        ok(Date.now() < deadline, "the key is still in the file");
        await sql.execute("VACUUM FULL identity.text_keys");
      } while (await held());
    },
  );
});
