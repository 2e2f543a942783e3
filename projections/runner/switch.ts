import { setTimeout as delay } from "node:timers/promises";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog, LogRecord, TopicPartition } from "../../infra/event-log/port.ts";
import { type Sql, SqlError, type SqlTransaction } from "../../infra/sql/port.ts";
import { Applier } from "./applier.ts";
import { compareVersions, type RowDifference, stillDiffering } from "./compare.ts";
import { Progress } from "./progress.ts";
import type { Definition, Projection } from "./projection.ts";

export interface Switching {
  readonly log: Pick<EventLog, "read">;
  readonly sql: Sql;
  readonly sealer: TextSealer;
}

/** Records were parked in the version that was to become live: it lacks what they say. */
export class VersionParked extends Error {
  override readonly name = "VersionParked";
}

/** Records that a switch brings a version forward by, at most, while the other stands still. */
const mostInSwitch = 2_000;

/** The version lacks more than a switch may bring it forward by: it is to catch up first. */
export class TooFarBehind extends Error {
  override readonly name = "TooFarBehind";
}

/**
 * Makes a version live, in one transaction that first brings it as far as the one that has been live
 * is: whoever was told that the live version had passed a record reads that record's effect from the
 * next one too. The old one stands still for that moment. What lives elsewhere is brought forward by
 * projectors, for which the switch waits a little. With `strict` a version that has parked anything is
 * refused.
 *
 * Resolves to those of the differences that are still there when both stand at the same offsets,
 * or as near as that when the old one lags far behind.
 * @throws {VersionParked} @throws {TooFarBehind}
 */
export function switchLive(
  { log, sql, sealer }: Switching,
  definition: Definition,
  from: number,
  to: number,
  { strict, differences }: { strict: boolean; differences: readonly RowDifference[] },
): Promise<RowDifference[]> {
  const { name } = definition;
  return retrying(() =>
    sql.transaction(async (transaction) => {
      let remaining: RowDifference[] = [];
      if (definition.at(to).projection.kind === "effect") {
        await lock(transaction, name, [from]);
        await untilCaughtUp(transaction, name, from, to);
      } else {
        const checkpoints = await lock(transaction, name, [from, to]);
        if (lagOf(checkpoints, to, from) > mostInSwitch) throw new TooFarBehind(name);
        const missing = await missingRecords(log, checkpoints, to, from);
        await apply(definition.at(to).projection, missing, { log, sealer, transaction, strict });
        if (differences.length > 0) {
          const near = lagOf(checkpoints, from, to) <= mostInSwitch;
          const ahead = near ? await missingRecords(log, checkpoints, from, to) : [];
          await apply(definition.at(from).projection, ahead, {
            log,
            sealer,
            transaction,
            strict: false,
          });
          remaining = await stillDiffering(transaction, name, [from, to], differences);
        }
      }
      if (strict) await refuseParked(transaction, name, to);
      const switched = await transaction.query(
        `UPDATE projections.live
         SET version = $3, previous = $2, switches = switches + 1,
           switched_at = clock_timestamp(), announced = false
         WHERE projection = $1 AND version = $2 RETURNING version`,
        [name, from, to],
      );
      if (switched.length !== 1) throw new Error(`${name} v${from} is not live any more`);
      await transaction.query(
        "UPDATE projections.versions SET state = 'followed' WHERE projection = $1 AND version = $2",
        [name, to],
      );
      return remaining;
    })
  );
}

/** The differences between two versions that are there when both stand at the same offsets. */
export async function compareAtRest(
  { log, sql, sealer }: Switching,
  definition: Definition,
  from: number,
  to: number,
  told: Parameters<typeof compareVersions>[3],
): Promise<RowDifference[]> {
  const { name } = definition;
  const differences = await compareVersions(sql, name, [from, to], told);
  if (differences.length === 0) return [];
  return await retrying(() =>
    sql.transaction(async (transaction) => {
      const checkpoints = await lock(transaction, name, [from, to]);
      for (const [behind, ahead] of [[to, from], [from, to]] as const) {
        if (lagOf(checkpoints, behind, ahead) > mostInSwitch) throw new TooFarBehind(name);
        const missing = await missingRecords(log, checkpoints, behind, ahead);
        const options = { log, sealer, transaction, strict: false };
        await apply(definition.at(behind).projection, missing, options);
      }
      return await stillDiffering(transaction, name, [from, to], differences);
    })
  );
}

/** Looks, and milliseconds between them, at whether others have brought an effect's version forward. */
const looks = { times: 10, apart: 20 };

/** @throws {TooFarBehind} */
async function untilCaughtUp(
  transaction: SqlTransaction,
  name: string,
  from: number,
  to: number,
): Promise<void> {
  for (let look = 1;; look++) {
    if (lagOf(await checkpointsOf(transaction, name, [from, to]), to, from) === 0) return;
    if (look === looks.times) throw new TooFarBehind(name);
    await delay(looks.apart);
  }
}

interface Checkpoint extends TopicPartition {
  readonly version: number;
  readonly next_offset: number;
}

/**
 * Nobody moves these until the transaction ends. A batch moves its own in whatever order the server
 * finds them, so it and this may each hold one that the other waits for: this gives way before the
 * server notices and tells one of them off, which might be the batch.
 */
async function lock(
  transaction: SqlTransaction,
  name: string,
  versions: readonly number[],
): Promise<Checkpoint[]> {
  await transaction.execute(`SET LOCAL lock_timeout = ${patience}`);
  const locked = await transaction.query<Checkpoint>(`${checkpointsByVersion} FOR UPDATE`, [
    name,
    versions,
  ]);
  await transaction.execute("SET LOCAL lock_timeout = 0");
  return locked;
}

async function checkpointsOf(
  transaction: SqlTransaction,
  name: string,
  versions: readonly number[],
): Promise<Checkpoint[]> {
  return await transaction.query<Checkpoint>(checkpointsByVersion, [name, versions]);
}

const checkpointsByVersion =
  `SELECT version, topic, partition, next_offset FROM projections.checkpoints
   WHERE projection = $1 AND version = ANY ($2::integer[])
   ORDER BY version, topic, partition`;

/** By partition, what one version has passed and another has not. */
function gaps(checkpoints: readonly Checkpoint[], behind: number, ahead: number) {
  return checkpoints.filter(({ version }) => version === ahead).map((one) => {
    const { topic, partition, next_offset: end } = one;
    const other = checkpoints.find((two) =>
      two.version === behind && two.topic === topic && two.partition === partition
    );
    return { topic, partition, from: other?.next_offset ?? 0, end };
  }).filter(({ from, end }) => from < end);
}

function lagOf(checkpoints: readonly Checkpoint[], behind: number, ahead: number): number {
  return gaps(checkpoints, behind, ahead).reduce((sum, { from, end }) => sum + end - from, 0);
}

async function missingRecords(
  log: Pick<EventLog, "read">,
  checkpoints: readonly Checkpoint[],
  behind: number,
  ahead: number,
): Promise<LogRecord[]> {
  const missing: LogRecord[] = [];
  for (const { topic, partition, from, end } of gaps(checkpoints, behind, ahead)) {
    reading: for await (const batch of log.read({ topic, partition }, from)) {
      for (const record of batch) {
        if (record.offset >= end) {
          break reading;
        }
        missing.push(record);
      }
    }
  }
  return missing;
}

async function apply(
  projection: Projection,
  records: readonly LogRecord[],
  { log, sealer, transaction, strict }: Pick<Switching, "log" | "sealer"> & {
    transaction: SqlTransaction;
    strict: boolean;
  },
): Promise<void> {
  if (records.length === 0) return;
  const within: Sql = {
    ...forwarding(transaction),
    transaction: (work) => work(transaction),
    close: () => Promise.resolve(),
  };
  const progress = new Progress(within);
  const applier = new Applier({ log, sql: within, projection, sealer, progress, strict });
  await applier.startAt(records);
  await applier.take(records, new AbortController().signal);
}

function forwarding(queries: SqlTransaction): SqlTransaction {
  return {
    query: (text, parameters) => queries.query(text, parameters),
    execute: (text) => queries.execute(text),
    copy: (table, columns, rows) => queries.copy(table, columns, rows),
  };
}

async function refuseParked(
  transaction: SqlTransaction,
  name: string,
  version: number,
): Promise<void> {
  const [first] = await transaction.query<
    TopicPartition & { record_offset: number; key: string; category: string; message: string }
  >(
    `SELECT topic, partition, record_offset, key, category, message FROM projections.dead_letters
     WHERE projection = $1 AND version = $2 AND category <> 'behind' ORDER BY parked_at LIMIT 1`,
    [name, version],
  );
  if (!first) return;
  const { topic, partition, record_offset, key, category, message } = first;
  throw new VersionParked(
    `${name} v${version} cannot apply ${topic}/${partition} at offset ${record_offset} ` +
      `(key ${key}): ${category}: ${message}`,
  );
}

/** Milliseconds that one checkpoint is waited for: less than `deadlock_timeout`, which is 1 s. */
const patience = 300;
/** SQLSTATEs of a lock that was not to be had, for a time or in a circle. */
const giveWay = new Set(["55P03", "40P01"]);

async function retrying<T>(attempt: () => Promise<T>): Promise<T> {
  for (let attempts = 1;; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof SqlError && giveWay.has(error.code)) || attempts >= 50) throw error;
      await delay(patience * Math.random());
    }
  }
}
