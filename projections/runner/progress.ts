import type { Position } from "../../infra/event-log/position.ts";
import type { SqlQueries } from "../../infra/sql/port.ts";
import { switchGrace } from "./live-schemas.ts";

/** Milliseconds between two looks at the checkpoints: at first, and at most. */
const shortestPause = 10;
const longestPause = 25;

interface Waiter {
  readonly position: Position;
  readonly projections: readonly string[];
  settle(reached: boolean): void;
  fail(error: unknown): void;
}

/** Projection → topic → the offset each partition reads next. */
type Checkpoints = ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<number, number>>>;

/**
 * Waits for projections to pass places in the log. All waiters of a process share one poller of
 * `projections.checkpoints`, which runs only while someone waits. Give it the database that the
 * queries after the wait will read, replica or not.
 */
export class Progress {
  readonly #sql: SqlQueries;
  readonly #waiters = new Set<Waiter>();
  #polling = false;
  #pause = shortestPause;
  #wake: () => void = () => {};
  #woken = false;

  constructor(sql: SqlQueries) {
    this.#sql = sql;
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
      this.notify();
      if (!this.#polling) this.#poll();
    });
  }

  /** Looks at once: a runner in this process has committed. Costs nothing while nobody waits. */
  notify(): void {
    this.#woken = true;
    this.#pause = shortestPause;
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
    this.#pause = Math.min(this.#pause * 1.5, longestPause);
  }

  async #read(waiters: readonly Waiter[]): Promise<Checkpoints> {
    const rows = await this.#sql.query<
      { projection: string; topic: string | null; partition: number; next_offset: number }
    >(
      `SELECT l.projection, c.topic, c.partition, min(c.next_offset) AS next_offset
       FROM projections.live AS l
       LEFT JOIN projections.checkpoints AS c
         ON c.projection = l.projection AND c.topic = ANY ($2) AND (
           c.version = l.version OR
           c.version = l.previous AND
             l.switched_at > clock_timestamp() - make_interval(secs => $3)
         )
       WHERE l.projection = ANY ($1)
       GROUP BY l.projection, c.topic, c.partition`,
      [
        [...new Set(waiters.flatMap(({ projections }) => projections))],
        [...new Set(waiters.flatMap(({ position }) => position.map(({ topic }) => topic)))],
        switchGrace,
      ],
    );
    const checkpoints = new Map<string, Map<string, Map<number, number>>>();
    for (const { projection, topic, partition, next_offset } of rows) {
      let topics = checkpoints.get(projection);
      if (!topics) checkpoints.set(projection, topics = new Map());
      if (topic === null) continue;
      let partitions = topics.get(topic);
      if (!partitions) topics.set(topic, partitions = new Map());
      partitions.set(partition, next_offset);
    }
    return checkpoints;
  }
}

function hasPassed(checkpoints: Checkpoints, { position, projections }: Waiter): boolean {
  return projections.every((projection) => {
    const topics = checkpoints.get(projection);
    if (!topics) return false;
    return position.every(({ topic, partition, offset }) => {
      const partitions = topics.get(topic);
      return partitions === undefined || (partitions.get(partition) ?? 0) > offset;
    });
  });
}
