import type { Position } from "../../infra/event-log/position.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { placeOf } from "./checkpoints.ts";
import { switchGrace } from "./live-schemas.ts";

/** Milliseconds between two looks at the checkpoints: at first, and at most. */
interface Pauses {
  readonly shortest: number;
  readonly longest: number;
}

/** For a client that waits for its answer. */
const impatient: Pauses = { shortest: 20, longest: 50 };
/** For a batch that waits for another projection, whose own batches are further apart. */
export const patient: Pauses = { shortest: 50, longest: 100 };

interface Waiter {
  readonly position: Position;
  readonly projections: readonly string[];
  settle(reached: boolean): void;
  fail(error: unknown): void;
}

/**
 * Projection → place → the offset that is read next there, or undefined where the projection does not
 * take the topic. None of a projection that has no live version.
 */
type Checkpoints = ReadonlyMap<string, ReadonlyMap<string, number | undefined>>;

/**
 * Waits for projections to pass places in the log. All waiters of a process share one poller of
 * `projections.checkpoints`, which runs only while someone waits. Give it the database that the
 * queries after the wait will read, replica or not.
 */
export class Progress {
  readonly #sql: SqlQueries;
  readonly #pauses: Pauses;
  readonly #waiters = new Set<Waiter>();
  #polling = false;
  #pause: number;
  #wake: () => void = () => {};
  #woken = false;

  constructor(sql: SqlQueries, pauses = impatient) {
    this.#sql = sql;
    this.#pauses = pauses;
    this.#pause = pauses.shortest;
  }

  /**
   * Whether the live version of each projection has passed every place before the time is up. A
   * projection is not waited for on topics it does not take; one that has no live version yet has
   * passed nothing. After a switch the version that was live before is waited for too, as long as
   * somebody may still read it.
   */
  reached(
    position: Position,
    projections: readonly string[],
    timeoutMs: number,
  ): Promise<boolean> {
    if (position.length === 0 || projections.length === 0) return Promise.resolve(true);
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        position,
        projections,
        settle: (reached) => (leave(), resolve(reached)),
        fail: (error) => (leave(), reject(error)),
      };
      const timer = setTimeout(() => waiter.settle(false), timeoutMs);
      this.#waiters.add(waiter);
      this.#lookAtOnce();
      if (!this.#polling) this.#poll();
    });
  }

  /** Looks at once if somebody waits for it: a runner in this process has committed. */
  notify(projection: string): void {
    for (const { projections } of this.#waiters) {
      if (projections.includes(projection)) return this.#lookAtOnce();
    }
  }

  #lookAtOnce(): void {
    this.#woken = true;
    this.#pause = this.#pauses.shortest;
    this.#wake();
  }

  async #poll(): Promise<void> {
    this.#polling = true;
    try {
      while (this.#waiters.size > 0) {
        this.#woken = false;
        const asked = [...this.#waiters];
        const checkpoints = await this.#read(asked);
        for (const waiter of asked) {
          if (hasPassed(checkpoints, waiter)) waiter.settle(true);
        }
        if (this.#waiters.size > 0 && !this.#woken) await this.#rest();
      }
    } catch (error) {
      for (const waiter of [...this.#waiters]) waiter.fail(error);
    } finally {
      this.#polling = false;
    }
  }

  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#pause);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
    this.#wake = () => {};
    this.#pause = Math.min(this.#pause * 1.5, this.#pauses.longest);
  }

  /** A few index probes for each place that is waited for: checkpoints are some hundred. */
  async #read(waiters: readonly Waiter[]): Promise<Checkpoints> {
    const places = new Map(
      waiters.flatMap(({ position }) => position.map((at) => [placeOf(at), at] as const)),
    );
    const rows = await this.#sql.query<
      { projection: string; topic: string; partition: number; next_offset: number | null }
    >(
      `SELECT l.projection, place.topic, place.partition, CASE
         WHEN live.next_offset IS NOT NULL THEN least(live.next_offset, previous.next_offset)
         WHEN EXISTS (
           SELECT FROM projections.checkpoints AS c
           WHERE c.projection = l.projection AND c.version = l.version AND c.topic = place.topic
         ) THEN 0
       END AS next_offset
       FROM projections.live AS l
       CROSS JOIN unnest($2::text[], $3::integer[]) AS place (topic, partition)
       LEFT JOIN LATERAL (
         SELECT next_offset FROM projections.checkpoints AS c
         WHERE c.projection = l.projection AND c.version = l.version
           AND c.topic = place.topic AND c.partition = place.partition LIMIT 1
       ) AS live ON true
       LEFT JOIN LATERAL (
         SELECT next_offset FROM projections.checkpoints AS c
         WHERE l.switched_at > clock_timestamp() - make_interval(secs => $4)
           AND c.projection = l.projection AND c.version = l.previous
           AND c.topic = place.topic AND c.partition = place.partition LIMIT 1
       ) AS previous ON true
       WHERE l.projection = ANY ($1)`,
      [
        [...new Set(waiters.flatMap(({ projections }) => projections))],
        Array.from(places.values(), ({ topic }) => topic),
        Array.from(places.values(), ({ partition }) => partition),
        switchGrace,
      ],
    );
    const checkpoints = new Map<string, Map<string, number | undefined>>();
    for (const { projection, topic, partition, next_offset } of rows) {
      checkpoints.getOrInsertComputed(projection, () => new Map())
        .set(placeOf({ topic, partition }), next_offset ?? undefined);
    }
    return checkpoints;
  }
}

function hasPassed(checkpoints: Checkpoints, { position, projections }: Waiter): boolean {
  return projections.every((projection) => {
    const places = checkpoints.get(projection);
    return places !== undefined &&
      position.every((at) => (places.get(placeOf(at)) ?? Infinity) > at.offset);
  });
}
