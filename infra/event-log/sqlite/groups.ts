import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { TopicPartition, TopicSpec } from "../port.ts";
import { assign } from "./assign.ts";

export interface CommittedPartition extends TopicPartition {
  /** The offset to go on from; undefined when the group has committed none. */
  readonly committed: number | undefined;
}

export interface Reconciled {
  /** The generation this answer holds for: with the next one, ask again. */
  readonly generation: number;
  /** What the member owns now. */
  readonly owned: readonly CommittedPartition[];
  /** Owned still, since they are busy, but to be let go of. */
  readonly leaving: readonly TopicPartition[];
}

/**
 * Consumer groups. What writes is to be called within a transaction; `now` is in milliseconds since
 * the epoch.
 *
 * A partition has one owner at a time. A member owns it from the moment it claimed it as its target
 * until it releases it, leaves, or is evicted after its session expired; only the owner commits. A
 * member id is used for one session only, so whoever was evicted can never commit again.
 *
 * The generation goes up with every change of who shall have a partition, and of a partition becoming free.
 */
export class Groups {
  readonly #database: DatabaseSync;
  readonly #sessionTimeout: number;
  readonly #prepared = new Map<string, StatementSync>();

  /** @param sessionTimeout milliseconds without a heartbeat after which a member is evicted. */
  constructor(database: DatabaseSync, sessionTimeout: number) {
    this.#database = database;
    this.#sessionTimeout = sessionTimeout;
  }

  generation(group: string): number {
    const [row] = this.#rows("SELECT generation FROM consumer_groups WHERE name = ?", group);
    return Number(row?.generation ?? 0);
  }

  join(group: string, member: string, topics: readonly TopicSpec[], now: number): void {
    this.#run(
      "INSERT INTO consumer_groups (name, generation) VALUES (?, 0) ON CONFLICT DO NOTHING",
      group,
    );
    for (const topic of topics) {
      for (let partition = 0; partition < topic.partitions; partition++) {
        this.#run(
          `INSERT INTO assignments (consumer_group, topic, partition) VALUES (?, ?, ?)
           ON CONFLICT DO NOTHING`,
          group,
          topic.name,
          partition,
        );
      }
    }
    this.#run(
      "INSERT INTO members (consumer_group, id, topics, expires_at) VALUES (?, ?, ?, ?)",
      group,
      member,
      JSON.stringify(topics.map((topic) => topic.name)),
      now + this.#sessionTimeout,
    );
    this.#evict(group, now);
    this.#rebalance(group);
  }

  /** Prolongs the member's session and evicts those whose session has expired. */
  heartbeat(group: string, member: string, now: number): void {
    this.#run(
      "UPDATE members SET expires_at = ? WHERE consumer_group = ? AND id = ?",
      now + this.#sessionTimeout,
      group,
      member,
    );
    if (this.#evict(group, now)) this.#rebalance(group);
  }

  leave(group: string, member: string): void {
    const left = this.#run(
      "DELETE FROM members WHERE consumer_group = ? AND id = ?",
      group,
      member,
    );
    if (left > 0) this.#rebalance(group);
  }

  /**
   * Releases what the member shall not have any more, unless it is busy, and claims what it shall
   * have and nobody else owns. Undefined when the member was evicted.
   */
  reconcile(
    group: string,
    member: string,
    busy: readonly TopicPartition[],
  ): Reconciled | undefined {
    const [alive] = this.#rows(
      "SELECT 1 FROM members WHERE consumer_group = ? AND id = ?",
      group,
      member,
    );
    if (!alive) return undefined;

    const leaving: TopicPartition[] = [];
    for (
      const row of this.#rows(
        `SELECT topic, partition FROM assignments
         WHERE consumer_group = ? AND owner = ? AND target IS NOT owner`,
        group,
        member,
      )
    ) {
      const place = { topic: String(row.topic), partition: Number(row.partition) };
      if (busy.some((b) => b.topic === place.topic && b.partition === place.partition)) {
        leaving.push(place);
      } else this.#release(group, place);
    }
    this.#run(
      `UPDATE assignments SET owner = target
       WHERE consumer_group = ? AND target = ? AND owner IS NULL`,
      group,
      member,
    );
    const owned = this.#rows(
      `SELECT topic, partition, committed FROM assignments
       WHERE consumer_group = ? AND owner = ? ORDER BY topic, partition`,
      group,
      member,
    ).map((row) => ({
      topic: String(row.topic),
      partition: Number(row.partition),
      committed: row.committed === null ? undefined : Number(row.committed),
    }));
    return { generation: this.generation(group), owned, leaving };
  }

  /** Commits the offsets of those partitions that the member owns; the others stay as they are. */
  commit(
    group: string,
    member: string,
    offsets: readonly (TopicPartition & { readonly next: number })[],
  ): void {
    for (const { topic, partition, next } of offsets) {
      // One statement that checks the owner and writes: a zombie's commit changes no row.
      this.#run(
        `UPDATE assignments SET committed = ?
         WHERE consumer_group = ? AND topic = ? AND partition = ? AND owner = ?`,
        next,
        group,
        topic,
        partition,
        member,
      );
    }
  }

  #release(group: string, { topic, partition }: TopicPartition): void {
    this.#run(
      `UPDATE assignments SET owner = NULL
       WHERE consumer_group = ? AND topic = ? AND partition = ?`,
      group,
      topic,
      partition,
    );
    this.#advance(group);
  }

  #evict(group: string, now: number): boolean {
    return this.#run(
      "DELETE FROM members WHERE consumer_group = ? AND expires_at <= ?",
      group,
      now,
    ) > 0;
  }

  #rebalance(group: string): void {
    this.#run(
      `UPDATE assignments SET owner = NULL WHERE consumer_group = ?1 AND owner NOT IN
         (SELECT id FROM members WHERE consumer_group = ?1)`,
      group,
    );
    const members = this.#rows("SELECT id, topics FROM members WHERE consumer_group = ?", group)
      .map((row) => ({
        id: String(row.id),
        topics: new Set<string>(JSON.parse(String(row.topics))),
      }));
    const current = this.#rows(
      "SELECT topic, partition, target FROM assignments WHERE consumer_group = ?",
      group,
    ).map((row) => ({
      topic: String(row.topic),
      partition: Number(row.partition),
      member: row.target === null ? null : String(row.target),
    }));
    for (const { topic, partition, member } of assign(members, current)) {
      this.#run(
        `UPDATE assignments SET target = ?1
         WHERE consumer_group = ?2 AND topic = ?3 AND partition = ?4 AND target IS NOT ?1`,
        member,
        group,
        topic,
        partition,
      );
    }
    this.#advance(group);
  }

  #advance(group: string): void {
    this.#run("UPDATE consumer_groups SET generation = generation + 1 WHERE name = ?", group);
  }

  #rows(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#statement(sql).all(...values);
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  #statement(sql: string): StatementSync {
    const statement = this.#prepared.get(sql) ?? this.#database.prepare(sql);
    this.#prepared.set(sql, statement);
    return statement;
  }
}
