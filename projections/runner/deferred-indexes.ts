import type { Sql } from "../../infra/sql/port.ts";
import { schemaOf, versioned } from "./live-schemas.ts";
import type { TransactionalProjection } from "./projection.ts";

/**
 * Takes the indexes away that a version's filling does not need, to make them at its end in one go,
 * which costs a fraction of keeping them (PostgreSQL's manual, "Populating a Database"). Those behind
 * keys stay. What was taken away is written down in the same transaction, and so is the projection's
 * completion, which comes before it.
 */
export async function deferIndexes(
  sql: Sql,
  { name, version, completion = [] }: TransactionalProjection,
): Promise<void> {
  const versions = new Map([[name, version]]);
  await sql.transaction(async (transaction) => {
    // Of a partitioned table the parent's: its partitions' come and go with it.
    const indexes = await transaction.query<{ index: string; definition: string }>(
      `SELECT i.indexrelid::regclass::text AS index, pg_get_indexdef(i.indexrelid) AS definition
       FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
       WHERE c.relnamespace = $1::regnamespace AND NOT i.indisunique AND NOT c.relispartition`,
      [schemaOf(name, version)],
    );
    await transaction.query(
      `UPDATE projections.versions SET deferred_indexes = $3
       WHERE projection = $1 AND version = $2`,
      [name, version, [
        ...completion.map((statement) => versioned(statement, versions)),
        ...indexes.map(({ definition }) => definition),
      ]],
    );
    for (const { index } of indexes) await transaction.execute(`DROP INDEX ${index}`);
  });
}

/** Of what was put off, done at a time: each keeps one core busy, and none waits for another's locks. */
const atATime = 2;

/** Does what was put off, each in a transaction of its own: killed in between, the rest is done next time. */
export async function makeDeferredIndexes(
  sql: Sql,
  name: string,
  version: number,
  onMade: (done: number, of: number) => void,
): Promise<void> {
  const [row] = await sql.query<{ deferred_indexes: string[] }>(
    "SELECT deferred_indexes FROM projections.versions WHERE projection = $1 AND version = $2",
    [name, version],
  );
  const deferred = row?.deferred_indexes ?? [];
  if (deferred.length === 0) return;
  let made = 0;
  onMade(made, deferred.length);
  const rest = deferred.values();
  const work = async () => {
    for (const definition of rest) {
      await sql.transaction(async (transaction) => {
        // On a partitioned table an index's definition says ONLY, which would leave its partitions without.
        await transaction.execute(definition.replace(" ON ONLY ", " ON "));
        await transaction.query(
          `UPDATE projections.versions SET deferred_indexes = array_remove(deferred_indexes, $3)
           WHERE projection = $1 AND version = $2`,
          [name, version, definition],
        );
      });
      onMade(++made, deferred.length);
    }
  };
  for (const ended of await Promise.allSettled(Array.from({ length: atATime }, work))) {
    if (ended.status === "rejected") throw ended.reason;
  }
}
