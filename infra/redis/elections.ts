import type { Redis } from "ioredis";
import { historyOf } from "./histories.ts";
import { Passing, type RedisNodes } from "./nodes.ts";

/**
 * Notices that a replica has become a master. The one before it, if it was frozen or cut off, goes on
 * as a master until it hears of its successor: what it says then is old, and what is done to it is
 * undone.
 *
 * A replica of a cluster needs the votes of most masters, and each of them enters the epoch of the
 * election before it votes
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#replica-election-and-promotion).
 * So once all the masters that are known have been in one epoch, none of them has a successor for as
 * long as most are in it still. An epoch may begin without a promotion, as when slots are moved; it is
 * taken for one.
 *
 * What cannot be seen is the moment between the votes and the news of their outcome, milliseconds; and
 * `CLUSTER FAILOVER TAKEOVER`, which asks nobody. A single server elects nobody: its epoch is its
 * replication history, which another server behind the same address does not share.
 */
export class Elections {
  readonly #nodes: RedisNodes;
  /** In which `during` did something last. */
  #epoch: string | undefined;

  constructor(nodes: RedisNodes) {
    this.#nodes = nodes;
  }

  /**
   * The epoch that all masters are in.
   * @throws {RedisUnavailable} when some do not answer, or do not agree, for `patience` milliseconds.
   */
  agreed(patience: number): Promise<string> {
    return this.#nodes.onMasters(patience, async (masters) => {
      // A replica is in it, too, and takes messages for its master, which may be lost on the way.
      const [[epoch = "", ...others]] = await Promise.all([
        Promise.all(masters.map((node) => this.#epochOf(node))),
        Promise.all(masters.map(historyOf)),
      ]);
      if (others.some((other) => other !== epoch)) throw new Passing("an election is under way");
      return epoch;
    });
  }

  /**
   * Whether most masters are still in the epoch on which all agreed; nobody else is waited for.
   * @throws {RedisUnavailable} when too few answer for `patience` milliseconds.
   */
  holds(epoch: string, patience: number): Promise<boolean> {
    return this.#nodes.onMasters(
      patience,
      (masters) => mostSay(epoch, masters.map((node) => this.#epochOf(node))),
    );
  }

  /**
   * Does something to masters, and does it again when one of them may have had a successor by then. It
   * must be idempotent.
   * @throws what it throws, and {RedisUnavailable} when they have not told for `patience` milliseconds.
   */
  async during(patience: number, act: () => Promise<void>): Promise<void> {
    for (let done = false; !done;) {
      const epoch = this.#epoch ?? await this.agreed(patience);
      await act();
      done = await this.holds(epoch, patience);
      this.#epoch = done ? epoch : undefined;
    }
  }

  async #epochOf(node: Redis): Promise<string> {
    if (!this.#nodes.inCluster) return await historyOf(node);
    const info = String(await node.call("CLUSTER", "INFO"));
    const epoch = /^cluster_current_epoch:(\d+)/m.exec(info)?.[1];
    if (epoch === undefined) throw new Passing("the node tells no epoch");
    return epoch;
  }
}

/** Resolves as soon as it is certain. @throws when too many have failed for it ever to be. */
function mostSay(epoch: string, answers: readonly Promise<string>[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let [same, failed] = [0, 0];
    const hear = (said: string) => {
      if (said !== epoch) resolve(false);
      else if (++same > answers.length / 2) resolve(true);
    };
    const miss = (error: unknown) => {
      if (++failed >= answers.length / 2) reject(error);
    };
    for (const answer of answers) answer.then(hear, miss);
  });
}
