import type { Sql } from "../../infra/sql/port.ts";
import { ensureCheckpoints, ensureControl, ensureProjection } from "./control.ts";
import { switchGrace } from "./live-schemas.ts";
import { measure } from "./metrics.ts";
import { Progress } from "./progress.ts";
import type { Definition } from "./projection.ts";
import { consume, type Projector, type ProjectorOptions } from "./runner.ts";

/** Milliseconds between two looks at which versions are to be kept up to date. */
const lookAgainAfter = 1_000;

export interface SupervisorOptions extends Omit<ProjectorOptions, "projections"> {
  readonly definitions: readonly Definition[];
  /** Another version of it is live now: whoever keeps something of it must forget that. */
  announce(projection: string): Promise<void>;
}

/**
 * Keeps every version up to date that is to be: the live ones, and those that are about to become
 * live or have just ceased to be, while a rebuild goes on in whatever process. A projection that has
 * no version yet gets its first.
 */
export async function superviseProjections(options: SupervisorOptions): Promise<Projector> {
  const { log, sql, definitions, logger, progress = new Progress(sql), announce } = options;
  await ensureControl(sql);
  const running = new Map<string, () => Promise<void>>();

  const start = async ({ definition, version, live }: Followed) => {
    const { projection, start } = definition.at(version);
    // What is live stays; another version may have been dropped since it was looked up.
    if (live) await ensureProjection(sql, log, projection, definition.revision);
    else if (!await ensureCheckpoints(sql, log, projection)) return undefined;
    const stopConsuming = await consume({ ...options, progress }, projection);
    const beside = start?.(logger.with({ projection: definition.name, version }));
    return async () => {
      await stopConsuming();
      await beside?.stop();
    };
  };
  const look = async () => {
    await keepPrevious(sql);
    const due = await followed(sql, definitions);
    for (const [place, version] of due) {
      if (running.has(place)) continue;
      const stop = await start(version);
      if (stop) running.set(place, stop);
    }
    for (const [place, stop] of running) {
      if (due.has(place)) continue;
      running.delete(place);
      await stop();
    }
    await announceSwitches(sql, announce);
  };
  const stopAll = async () => {
    await Promise.all([...running.values()].map((stop) => stop()));
    running.clear();
  };

  for (const definition of definitions) await ensureFirst(sql, options, definition);
  try {
    await look();
  } catch (error) {
    await stopAll();
    throw error;
  }
  const unmeasure = definitions.map((projection) => measure({ log, sql, projection }));

  const stopping = Promise.withResolvers<void>();
  let stopped = false;
  const looking = (async () => {
    while (!stopped) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const rest = new Promise<void>((resolve) => timer = setTimeout(resolve, lookAgainAfter));
      await Promise.race([rest, stopping.promise]);
      clearTimeout(timer);
      if (stopped) return;
      await look().catch((error) => logger.error("versions are looked at again", { error }));
    }
  })();
  return {
    async stop() {
      stopped = true;
      stopping.resolve();
      await looking;
      for (const end of unmeasure) end();
      await stopAll();
    },
  };
}

interface Followed {
  readonly definition: Definition;
  readonly version: number;
  readonly live: boolean;
}

/** By a name of their own, the versions that this release keeps up to date. */
async function followed(sql: Sql, definitions: readonly Definition[]) {
  const rows = await sql.query<
    { projection: string; version: number; revision: number; live: boolean }
  >(
    `SELECT v.projection, v.version, v.revision, coalesce(v.version = l.version, false) AS live
     FROM projections.versions AS v LEFT JOIN projections.live AS l USING (projection)
     WHERE v.state = 'followed' AND v.projection = ANY ($1) ORDER BY v.projection, v.version`,
    [definitions.map(({ name }) => name)],
  );
  const found = new Map<string, Followed>();
  for (const { projection, version, revision, live } of rows) {
    const definition = definitions.find(({ name }) => name === projection);
    if (definition?.revision !== revision) continue;
    found.set(`${projection} v${version}`, { definition, version, live });
  }
  return found;
}

/** The first version of a projection that has none; a word about one of another release. */
async function ensureFirst(
  sql: Sql,
  { log, logger }: SupervisorOptions,
  definition: Definition,
): Promise<void> {
  const { name, revision } = definition;
  const [live] = await sql.query<{ version: number; revision: number }>(
    `SELECT version, revision FROM projections.live JOIN projections.versions
     USING (projection, version) WHERE projection = $1`,
    [name],
  );
  if (!live) return await ensureProjection(sql, log, definition.at(1).projection, revision);
  if (live.revision === revision) return;
  logger.warn("what is live was made by another release, which has to keep it up to date", {
    projection: name,
    version: live.version,
    revision: live.revision,
    ours: revision,
    remedy: `deno task projections rebuild ${name}`,
  });
}

/** What was live before a switch stands still once nobody can be reading it any more. */
async function keepPrevious(sql: Sql): Promise<void> {
  await sql.query(
    `UPDATE projections.versions AS v SET state = 'kept'
     FROM projections.live AS l
     WHERE v.projection = l.projection AND v.version = l.previous AND v.state = 'followed'
       AND v.taken_until < clock_timestamp()
       AND l.switched_at < clock_timestamp() - make_interval(secs => $1)`,
    [2 * switchGrace],
  );
}

/** Told before it is recorded: killed in between, it is told again. */
export async function announceSwitches(
  sql: Sql,
  announce: (projection: string) => Promise<void>,
): Promise<void> {
  const switched = await sql.query<{ projection: string; switches: number }>(
    "SELECT projection, switches FROM projections.live WHERE NOT announced",
  );
  for (const { projection, switches } of switched) {
    await announce(projection);
    await sql.query(
      "UPDATE projections.live SET announced = true WHERE projection = $1 AND switches = $2",
      [projection, switches],
    );
  }
}
