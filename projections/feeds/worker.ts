import type { Logger } from "../../infra/telemetry/logger.ts";
import { followersBelow } from "../read-model/reads/followers-below.ts";
import { endFanOut, moveFanOut, takeFanOut } from "./fan-outs.ts";
import { postReached } from "./freshness.ts";
import { fanOutSlices, followersTold, measureFanOuts } from "./metrics.ts";
import { defaultFollowersAtATime, type FeedsServices } from "./services.ts";

/** Milliseconds between two looks for what other processes have left, or were killed over. */
const lookAgainAfter = 1_000;

/** Milliseconds that a slice gives way to a batch, at most. */
const givesWayFor = 50;

/**
 * Tells an author's followers what is on record, one slice of them after the other. The fan-out that
 * has waited longest is served next, so a large one delays no other by more than a slice; and as one
 * process does one slice at a time, it takes no more of the cache than a post of a small author.
 *
 * A slice gives way to the batch that is in hand, for a while, since in it may be the posts of many.
 *
 * A slice is recorded as done after it is. Killed in between, it is done again.
 */
export class FanOutWorker {
  readonly #services: FeedsServices;
  #wake: () => void = () => {};
  #woken = false;
  #batch: Promise<void> | undefined;

  constructor(services: FeedsServices) {
    this.#services = services;
  }

  /** Something has been put on record. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  /** A batch of the projection is in hand, to which slices give way. */
  async giveWayTo(batch: Promise<void>): Promise<void> {
    this.#batch = batch;
    try {
      await batch;
    } finally {
      if (this.#batch === batch) this.#batch = undefined;
    }
  }

  /** Works on one slice; resolves to whether there was one. */
  async slice(): Promise<boolean> {
    const { sql, cache, followersAtATime = defaultFollowersAtATime } = this.#services;
    const fanOut = await takeFanOut(sql);
    if (!fanOut) return false;
    const { fan_out_id, author_id, kind, before } = fanOut;
    const { followerIds, last } = await followersBelow(sql, author_id, before, followersAtATime);
    if (kind === "push") await cache.push(followerIds, fan_out_id);
    else await cache.pull(followerIds, author_id);
    if (last === undefined) await endFanOut(sql, fanOut);
    else await moveFanOut(sql, fanOut, last);
    fanOutSlices.inc({ kind });
    followersTold.inc({ kind }, followerIds.length);
    if (last === undefined && kind === "push") postReached(fan_out_id, "slices");
    return true;
  }

  /** Works until stopped. */
  start(logger: Logger): { stop(): Promise<void> } {
    let stopped = false;
    const measured = measureFanOuts(this.#services.sql);
    const running = (async () => {
      while (!stopped) {
        if (this.#batch) await this.#giveWay(this.#batch);
        this.#woken = false;
        const worked = await this.slice().catch((error) => {
          logger.error("a fan-out goes on later", { error });
          return false;
        });
        if (!worked && !stopped && !this.#woken) await this.#rest();
      }
    })();
    return {
      stop: async () => {
        stopped = true;
        this.#wake();
        await running;
        measured();
      },
    };
  }

  async #giveWay(batch: Promise<void>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const longEnough = new Promise<void>((resolve) => timer = setTimeout(resolve, givesWayFor));
    await Promise.race([batch.catch(() => {}), longEnough]);
    clearTimeout(timer);
  }

  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, lookAgainAfter);
      this.#wake = () => (clearTimeout(timer), resolve());
    });
    this.#wake = () => {};
  }
}
