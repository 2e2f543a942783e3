import { setTimeout as delay } from "node:timers/promises";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { type VersionRow, versionsOf } from "./versions.ts";
import type { Definition } from "./projection.ts";

export interface VersionStatus {
  readonly projection: string;
  readonly version: number;
  readonly revision: number;
  /** `live` and `following` are kept up to date, `kept` stands still, `filling` is a rebuild's. */
  readonly state: "live" | "following" | "kept" | "filling";
  /** Records of the log that it has not passed. */
  readonly lag: number;
  /** Records it has passed in the second that was looked at. */
  readonly perSecond: number;
  /** Keys of which records are parked, and those records. */
  readonly parkedKeys: number;
  readonly parkedRecords: number;
  /** Ten of those keys at most, as `<topic>/<key>`. */
  readonly parked: readonly string[];
  readonly partitions: readonly PartitionStatus[];
}

export interface PartitionStatus {
  readonly topic: string;
  readonly partition: number;
  /** The offset it reads next. */
  readonly checkpoint: number;
  readonly lag: number;
}

/** How all versions of these projections stand. Takes a second, to tell the rate. */
export async function statusOf(
  { log, sql }: { log: Pick<EventLog, "watermarks">; sql: SqlQueries },
  definitions: readonly Pick<Definition, "name" | "topics">[],
): Promise<VersionStatus[]> {
  const before = await checkpoints(sql);
  const began = performance.now();
  await delay(1_000);
  // Checkpoints before the watermarks: a lag is never shown that has not been there.
  const [after, seconds] = [await checkpoints(sql), (performance.now() - began) / 1000];
  const topics = [...new Set(definitions.flatMap((one) => one.topics))];
  const highs = new Map(
    (await log.watermarks(topics)).map((one) => [`${one.topic}/${one.partition}`, one.high]),
  );
  const parked = await sql.query<
    { projection: string; version: number; keys: number; records: number; some: string[] }
  >(
    `SELECT projection, version, count(DISTINCT (topic, key)) AS keys, count(*) AS records,
       (array_agg(DISTINCT topic || '/' || key))[:10] AS some
     FROM projections.dead_letters GROUP BY projection, version`,
  );
  const all: VersionStatus[] = [];
  for (const { name } of definitions) {
    for (const row of await versionsOf(sql, name)) {
      const id = `${name} ${row.version}`;
      const [rows, earlier] = [after.get(id) ?? [], before.get(id) ?? []];
      const partitions = rows.map(({ topic, partition, next_offset: checkpoint }) => ({
        topic,
        partition,
        checkpoint,
        lag: Math.max(0, (highs.get(`${topic}/${partition}`) ?? 0) - checkpoint),
      }));
      const passed = sum(rows) - sum(earlier);
      const letters = parked.find((one) => one.projection === name && one.version === row.version);
      all.push({
        projection: name,
        version: row.version,
        revision: row.revision,
        state: stateOf(row),
        lag: partitions.reduce((total, { lag }) => total + lag, 0),
        perSecond: earlier.length === 0 ? 0 : Math.round(Math.max(0, passed) / seconds),
        parkedKeys: letters?.keys ?? 0,
        parkedRecords: letters?.records ?? 0,
        parked: letters?.some ?? [],
        partitions,
      });
    }
  }
  return all;
}

function stateOf({ live, state }: VersionRow): VersionStatus["state"] {
  if (live) return "live";
  return state === "followed" ? "following" : state;
}

interface Checkpoint {
  readonly topic: string;
  readonly partition: number;
  readonly next_offset: number;
}

function sum(rows: readonly Checkpoint[]): number {
  return rows.reduce((total, { next_offset }) => total + next_offset, 0);
}

/** By name and version. */
async function checkpoints(sql: SqlQueries): Promise<Map<string, Checkpoint[]>> {
  const rows = await sql.query<Checkpoint & { projection: string; version: number }>(
    `SELECT projection, version, topic, partition, next_offset FROM projections.checkpoints
     ORDER BY projection, version, topic, partition`,
  );
  return Map.groupBy(rows, ({ projection, version }) => `${projection} ${version}`);
}
