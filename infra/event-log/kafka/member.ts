import { Consumer, NetworkError, offsetCommitV8 } from "@platformatic/kafka";
import type { TopicPartition } from "../port.ts";
import { askingInTurn, type ClientOptions, connectionOptions } from "./brokers.ts";
import { untilAvailable, within } from "./patience.ts";

/** Milliseconds. */
const sessionTimeout = 10_000;
const heartbeatInterval = 1_000;
const rebalanceTimeout = 10_000;
const leaveTimeout = 2_000;

/** What the group gave this member, until its next rebalance. */
export interface Assignment {
  readonly memberId: string;
  readonly generation: number;
  readonly partitions: readonly TopicPartition[];
}

export interface Commit extends TopicPartition {
  /** The offset to be handled next. */
  readonly next: number;
}

/**
 * Membership of a consumer group (the classic protocol, eager): it joins, and joins again by itself
 * at every rebalance, at once, however long a handler may take.
 */
export class Member {
  readonly #group: string;
  readonly #client: Consumer;
  #joined = false;

  constructor(
    options: ClientOptions,
    subscription: { group: string; topics: readonly string[] },
    on: { assigned(assignment: Assignment): void; failed(error: unknown): void },
  ) {
    this.#group = subscription.group;
    this.#client = askingInTurn(
      new Consumer({
        ...connectionOptions(options),
        groupId: subscription.group,
        sessionTimeout,
        heartbeatInterval,
        rebalanceTimeout,
        // Longer than a rebalance, for which JoinGroup waits.
        requestTimeout: rebalanceTimeout + 5_000,
        retries: 5,
        retryDelay: 200,
      }),
    );
    for (const topic of subscription.topics) this.#client.topics.track(topic);
    this.#client.on(
      "consumer:group:join",
      ({ memberId, generationId, assignments }) =>
        on.assigned({
          memberId,
          generation: generationId ?? -1,
          partitions: (assignments ?? []).flatMap(({ topic, partitions }) =>
            partitions.map((partition) => ({ topic, partition }))
          ),
        }),
    );
    // A rebalance it could not follow: from here on nothing keeps the session alive.
    this.#client.on("error", (error) => {
      if (!this.#joined) return;
      this.#joined = false;
      on.failed(error);
    });
  }

  /** Joins unless it is a member. */
  async join(): Promise<void> {
    if (this.#joined) return;
    this.#joined = true;
    try {
      await untilAvailable("joining a group", () => this.#client.joinGroup({}));
    } catch (error) {
      this.#joined = false;
      throw error;
    }
  }

  /** Undefined where the group has committed nothing, in the order asked. */
  async committed(partitions: readonly TopicPartition[]): Promise<(number | undefined)[]> {
    if (partitions.length === 0) return [];
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
      topic,
      partitions: ofTopic.map(({ partition }) => partition),
    }));
    const offsets = await this.#client.listCommittedOffsets({ topics });
    return partitions.map(({ topic, partition }) => {
      const offset = offsets.get(topic)?.[partition];
      return offset === undefined || offset < 0n ? undefined : Number(offset);
    });
  }

  /**
   * Commits as the member of the assignment's generation and no other: the coordinator refuses it once the
   * group has moved on. (The client's own `commit` would join again and commit under the new one,
   * for partitions that may be another member's by then.)
   */
  async commit({ memberId, generation }: Assignment, offsets: readonly Commit[]): Promise<void> {
    const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([name, ofTopic]) => ({
      name,
      partitions: ofTopic.map(({ partition, next }) => ({
        partitionIndex: partition,
        committedOffset: BigInt(next),
        committedLeaderEpoch: -1,
        committedMetadata: null,
      })),
    }));
    const coordinator = await this.#client.findGroupCoordinator();
    const connection = (await this.#client.connectToBrokers([coordinator])).get(coordinator);
    if (!connection) throw new NetworkError("the group's coordinator is not there just now");
    await offsetCommitV8.api.async(connection, this.#group, generation, memberId, null, topics);
  }

  /**
   * Leaves the group; if it cannot be reached, its session runs out. Before closing, because a client
   * that is closed while it joins has heartbeats for ever.
   */
  async leave(): Promise<void> {
    this.#joined = false;
    // Whether it could or not, its membership has ended here once it was asked.
    const left = new Promise<void>((resolve) => this.#client.leaveGroup(true, () => resolve()));
    await within(leaveTimeout, left).catch(() => {});
    await this.#client.close(true);
  }
}
