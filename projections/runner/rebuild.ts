import { setTimeout as delay } from "node:timers/promises";
import type { TextSealer } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { UnfitRecord } from "./applier.ts";
import { compareVersions, type RowDifference } from "./compare.ts";
import { dropProjection } from "./control.ts";
import { deferIndexes, makeDeferredIndexes } from "./deferred-indexes.ts";
import { fill, type Filling, fillUntilNear } from "./fill.ts";
import { switchGrace } from "./live-schemas.ts";
import type { OpenLaneThread } from "./lane.ts";
import type { Definition, Told } from "./projection.ts";
import { announceSwitches } from "./supervisor.ts";
import { compareAtRest, switchLive, TooFarBehind } from "./switch.ts";
import { dropOlder, follow, hold, openNext, versionsOf } from "./versions.ts";

export interface RebuildServices {
  readonly log: EventLog;
  /** With a statement timeout that an index may take; two connections at least, or a single session. */
  readonly sql: Sql;
  readonly sealer: TextSealer;
  /** See `superviseProjections`. */
  announce(projection: string): Promise<void>;
  readonly lanes?: number;
  /** See `Filling`: where a thread may have engines of its own. */
  readonly openLaneThread?: OpenLaneThread;
  readonly batchSize?: number;
  /** Seconds for which it is kept up to date after the switch, `switchGrace` when left out. */
  readonly handOverSeconds?: number;
}

export interface Rebuilt {
  readonly projection: string;
  readonly version: number;
  /** What was live before; kept, to go back to. */
  readonly previous: number;
  /** An earlier rebuild had begun it. */
  readonly resumed: boolean;
  /** Records passed by this process. */
  readonly records: number;
  /** That the filling and the indexes took. */
  readonly seconds: number;
  /** What the version before it did not have as the log says it; null where that cannot be compared. */
  readonly differences: Differences | null;
  /** Older versions that were dropped. */
  readonly dropped: readonly number[];
  readonly unfinished: Unfinished;
}

/**
 * What went wrong last of what follows a switch, which stands all the same; null when all of it was
 * done. Projectors tell of the switch and keep both versions up to date as well, and the next rebuild
 * drops what this one could not.
 */
export type Unfinished = string | null;

export interface Differences {
  readonly count: number;
  /** A hundred of them at most, in a line each. */
  readonly some: readonly string[];
}

/** There is nothing to make anew, or to go back to. */
export class NothingToRebuild extends Error {
  override readonly name = "NothingToRebuild";
}

/**
 * Makes a projection anew beside the one that serves, and then switches: fills the next version from
 * the log, catches up with what happens meanwhile, compares the two, and moves the pointer. Strict:
 * the first record that does not fit ends it, with its place and the reason.
 *
 * Killed at any instant, the next rebuild goes on where this one was. Aborted before the switch by
 * `isCancelled`, it leaves no trace.
 * @throws {UnfitRecord} @throws {VersionParked} @throws {VersionTaken} @throws {NothingToRebuild}
 */
export async function rebuild(
  definition: Definition,
  services: RebuildServices,
  told: Told,
  isCancelled: (reason: unknown) => boolean,
): Promise<Rebuilt> {
  const { log, sql } = services;
  const { name } = definition;
  const live = await liveVersion(sql, definition);
  const transactional = definition.at(live.version).projection.kind === "transactional";
  const { version, resumed } = await openNext(
    sql,
    log,
    definition,
    transactional ? undefined : live.version,
  );
  const held = await hold(sql, name, version);
  try {
    const filling = { ...services, projection: definition.at(version).projection };
    const began = performance.now();
    const records = await fillNext(definition, version, resumed, filling, told);
    if (!transactional) {
      await definition.carryOver?.(live.version, version, told);
      await fillUntilNear(filling, told);
    }
    const seconds = (performance.now() - began) / 1000;
    const comparable = live.revision === definition.revision;
    const rows = comparable && transactional
      ? await compareVersions(sql, name, [live.version, version], told)
      : [];
    const lines = await definition.differences?.(version, told);

    told.signal.throwIfAborted();
    // From here on it cannot be called off.
    const remaining = await onceNear(
      filling,
      told,
      () =>
        switchLive(services, definition, live.version, version, {
          strict: true,
          differences: rows,
        }),
    );
    let unfinished = await handOver(services, filling, told);
    const dropped = await dropOlder(sql, definition).catch((error) => {
      unfinished ??= messageOf(error);
      return [];
    });
    return {
      projection: name,
      version,
      previous: live.version,
      resumed,
      records,
      seconds,
      differences: lines ? summary(lines) : comparable ? rowSummary(remaining) : null,
      dropped,
      unfinished,
    };
  } catch (error) {
    if (isCancelled(told.signal.reason)) await undo(sql, definition, version);
    throw error;
  } finally {
    await held.release();
  }
}

/**
 * Recomputes a projection from the log beside the one that serves, and drops it again: what is not
 * alike. Live, as rebuild.
 */
export async function verify(
  definition: Definition,
  services: RebuildServices,
  told: Told,
): Promise<
  { readonly projection: string; readonly version: number; readonly differences: Differences }
> {
  const { log, sql } = services;
  const { name } = definition;
  const live = await liveVersion(sql, definition);
  const found = (differences: Differences) => ({
    projection: name,
    version: live.version,
    differences,
  });
  if (definition.differences) {
    return found(summary(await definition.differences(live.version, told)));
  }
  if (live.revision !== definition.revision) {
    throw new NothingToRebuild(
      `${name} v${live.version} is of revision ${live.revision}, this release makes ${definition.revision}: ` +
        `verify it with the release that made it, or rebuild it: deno task projections rebuild ${name}`,
    );
  }
  const { version, resumed } = await openNext(sql, log, definition);
  const held = await hold(sql, name, version);
  try {
    const filling = { ...services, projection: definition.at(version).projection };
    await fillNext(definition, version, resumed, filling, told);
    return found(
      rowSummary(
        await onceNear(
          filling,
          told,
          () => compareAtRest(services, definition, live.version, version, told),
        ),
      ),
    );
  } finally {
    await held.release();
    await undo(sql, definition, version);
  }
}

/** Goes back to what was live before, once it has caught up. */
export async function rollBack(
  definition: Definition,
  services: RebuildServices,
  told: Told,
): Promise<Pick<Rebuilt, "projection" | "version" | "previous" | "records" | "unfinished">> {
  const { sql } = services;
  const { name, revision } = definition;
  const versions = await versionsOf(sql, name);
  const live = versions.find((row) => row.live);
  const kept = versions.find((row) => row.previous);
  if (!live || !kept) {
    throw new NothingToRebuild(
      `${name} has no version to go back to: nothing has been rebuilt yet`,
    );
  }
  if (kept.revision !== revision) {
    throw new NothingToRebuild(
      `${name} v${kept.version} is of revision ${kept.revision}, this release makes ${revision}: ` +
        `roll back with the release that made it`,
    );
  }
  const held = await hold(sql, name, kept.version);
  try {
    await follow(sql, name, kept.version);
    const projection = definition.at(kept.version).projection;
    // Lenient, as it was when it was live: it may have parked what no release could read.
    const filling = { ...services, projection, strict: false };
    const records = await fillUntilNear(filling, told);
    await onceNear(
      filling,
      told,
      () =>
        switchLive(services, definition, live.version, kept.version, {
          strict: false,
          differences: [],
        }),
    );
    const unfinished = await handOver(services, filling, told);
    return { projection: name, version: kept.version, previous: live.version, records, unfinished };
  } finally {
    await held.release();
  }
}

/** What cannot be done while a version is far behind. */
async function onceNear<T>(filling: Filling, told: Told, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TooFarBehind)) throw error;
      await fillUntilNear(filling, told);
    }
  }
}

async function liveVersion(sql: Sql, { name }: Definition) {
  const live = (await versionsOf(sql, name)).find((row) => row.live);
  if (live) return live;
  throw new NothingToRebuild(
    `${name} has no version yet: start deno task dev, or a deno task projector`,
  );
}

/** From the beginning, or from where an earlier rebuild was, until little is lacking. */
async function fillNext(
  definition: Definition,
  version: number,
  resumed: boolean,
  filling: Filling,
  told: Told,
): Promise<number> {
  const { sql, projection } = filling;
  const { name } = definition;
  if (projection.kind === "transactional" && !resumed) await deferIndexes(sql, projection);
  // Projectors leave it alone until it is to be followed.
  const records = await fill({ ...filling, filledAlone: !resumed }, told);
  await makeDeferredIndexes(
    sql,
    name,
    version,
    (done, of) => told.onStep({ what: "indexing", done, of }),
  );
  if (projection.kind === "transactional") await sql.execute(analyses(name, version));
  await follow(sql, name, version);
  return records + await fillUntilNear(filling, told);
}

/** What queries are planned by, before they come. */
function analyses(name: string, version: number): string {
  return `DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = '${name}_v${version}' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    LOOP EXECUTE format('ANALYZE %s', t); END LOOP;
  END $$`;
}

/**
 * Tells of the switch, and keeps what is live up to date until projectors have seen that they are to,
 * and the old pointer is nobody's. What fails is tried again until then.
 */
async function handOver(
  { sql, announce, handOverSeconds: of = switchGrace }: RebuildServices,
  filling: Filling,
  { onStep }: Told,
): Promise<Unfinished> {
  const began = performance.now();
  const told = { signal: new AbortController().signal, onStep: () => {} };
  let unfinished: Unfinished = null;
  for (let done = 0; done < of; done = (performance.now() - began) / 1000) {
    onStep({ what: "handing over", done: Math.floor(done), of });
    try {
      await announceSwitches(sql, announce);
      await fill(filling, told);
      unfinished = null;
    } catch (error) {
      // It is live, so that projectors park what does not fit.
      unfinished = error instanceof UnfitRecord ? null : messageOf(error);
    }
    await delay(100);
  }
  onStep({ what: "handing over", done: of, of });
  return unfinished;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function undo(sql: Sql, definition: Definition, version: number): Promise<void> {
  const row = (await versionsOf(sql, definition.name)).find((row) => row.version === version);
  if (!row || row.live || row.previous) return;
  await dropProjection(sql, definition.name, version);
  await definition.drop?.(version);
}

function rowSummary(rows: readonly RowDifference[]): Differences {
  return summary(
    rows.map(({ table, key, before, after }) =>
      `${table} ${key.join(" ")}: ${before ?? "not there"} → ${after ?? "not there"}`
    ),
  );
}

function summary(lines: readonly string[]): Differences {
  return { count: lines.length, some: lines.slice(0, 100) };
}
