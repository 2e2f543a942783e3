import type { DatabaseSync } from "node:sqlite";
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { LogUnavailable } from "../port.ts";
import { isBusy, patience, unavailable } from "./database.ts";

interface Job {
  readonly work: () => unknown;
  readonly weight: number;
  readonly deadline: number;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Weight of the jobs in one transaction, about: others wait no longer than this takes. */
const maximumWeight = 1_000;

/**
 * Group commit: jobs that arrive in one turn of the event loop, or while another process has the
 * lock, run in the order they came in one transaction, and share its fsync. No promise settles before it.
 *
 * A job is synchronous, changes nothing but the database, and may run twice: when one throws, the
 * transaction is rolled back and each job runs again in one of its own, so that it fails alone.
 */
export class Writer {
  readonly #database: DatabaseSync;
  readonly #queue: Job[] = [];
  #running: Promise<void> | undefined;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * @param weight records the job writes.
   * @throws {LogUnavailable} when the lock could not be had in time or SQLite failed, and whatever `work` throws.
   */
  write<T>(work: () => T, weight = 1): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#queue.push({
      work,
      weight,
      deadline: Date.now() + patience,
      resolve: (result) => resolve(result as T),
      reject,
    });
    this.#running ??= this.#run().finally(() => this.#running = undefined);
    return promise;
  }

  /** Resolves when nothing is waiting to be written. */
  async drain(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    await turn();
    while (this.#queue.length > 0) {
      try {
        this.#database.exec("BEGIN IMMEDIATE");
      } catch (error) {
        await this.#putOff(error);
        continue;
      }
      const jobs = this.#take();
      if (!this.#commit(jobs)) jobs.forEach((job) => this.#commitAlone(job));
      await turn();
    }
  }

  async #putOff(error: unknown): Promise<void> {
    const now = Date.now();
    while (this.#queue[0] && (!isBusy(error) || this.#queue[0].deadline < now)) {
      this.#queue.shift()?.reject(unavailable(error));
    }
    await delay(1 + Math.random() * 4);
  }

  #take(): Job[] {
    let weight = 0;
    let count = 0;
    while (count < this.#queue.length && weight < maximumWeight) {
      weight += this.#queue[count++]?.weight ?? 0;
    }
    return this.#queue.splice(0, count);
  }

  /** Runs the jobs in the transaction that has begun; false when it was rolled back. */
  #commit(jobs: readonly Job[]): boolean {
    let results: unknown[];
    try {
      results = jobs.map((job) => job.work());
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#rollback();
      if (jobs.length > 1) return false;
      jobs[0]?.reject(unavailable(error));
      return true;
    }
    jobs.forEach((job, index) => job.resolve(results[index]));
    return true;
  }

  #commitAlone(job: Job): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
    } catch (error) {
      job.reject(new LogUnavailable("the log's file is locked", { cause: error }));
      return;
    }
    this.#commit([job]);
  }

  /** SQLite has already rolled back by itself after a full disk or an I/O error. */
  #rollback(): void {
    if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
  }
}
