import type { SqlTransaction } from "../../infra/sql/port.ts";

/** What a batch adds to counters, summed up, so that each counted row is written once per batch. */
class Deltas<Counter extends string> {
  readonly #zero: Readonly<Record<Counter, number>>;
  readonly #countedLater: boolean;
  readonly #byId = new Map<string, Record<Counter, number>>();

  constructor(zero: Readonly<Record<Counter, number>>, countedLater: boolean) {
    this.#zero = zero;
    this.#countedLater = countedLater;
  }

  /**
   * A delta of 0 still makes the row: whether it exists must not depend on where batches are cut. What
   * is counted later is counted in rows that stand, so that only what may have left none is noted.
   */
  add(id: string, counter: Counter, delta: number): void {
    if (this.#countedLater && delta > 0) return;
    let deltas = this.#byId.get(id);
    if (!deltas) this.#byId.set(id, deltas = { ...this.#zero });
    if (!this.#countedLater) deltas[counter] += delta;
  }

  rows(): ({ id: string } & Record<Counter, number>)[] {
    return [...this.#byId].map(([id, deltas]) => ({ id, ...deltas }));
  }
}

/** Counters of accounts and posts, whether these are known yet or not. */
export class Counts {
  readonly accounts;
  readonly posts;

  /** @param countedLater by `countAll`: nothing is added up, and rows are made for what it would not find. */
  constructor(countedLater: boolean) {
    const accounts = { post_count: 0, follower_count: 0, following_count: 0 };
    this.accounts = new Deltas(accounts, countedLater);
    this.posts = new Deltas({ like_count: 0, comment_count: 0 }, countedLater);
  }

  /**
   * Accounts are counted from several topics, so batches of two owners may touch the same ones: both
   * take the row locks in the order of ids, and neither can wait for the other in a circle.
   */
  async save(transaction: SqlTransaction): Promise<void> {
    const accounts = this.accounts.rows();
    if (accounts.length > 0) {
      await transaction.query(
        `INSERT INTO read_model.account_counts AS c
           (account_id, post_count, follower_count, following_count)
         SELECT id, post_count, follower_count, following_count
         FROM json_to_recordset($1::json)
           AS r (id uuid, post_count bigint, follower_count bigint, following_count bigint)
         ORDER BY id
         ON CONFLICT (account_id) DO UPDATE SET
           post_count = c.post_count + excluded.post_count,
           follower_count = c.follower_count + excluded.follower_count,
           following_count = c.following_count + excluded.following_count`,
        [JSON.stringify(accounts)],
      );
    }
    const posts = this.posts.rows();
    if (posts.length > 0) {
      await transaction.query(
        `INSERT INTO read_model.post_counts AS c (post_id, like_count, comment_count)
         SELECT id, like_count, comment_count
         FROM json_to_recordset($1::json) AS r (id uuid, like_count bigint, comment_count bigint)
         ORDER BY id
         ON CONFLICT (post_id) DO UPDATE SET
           like_count = c.like_count + excluded.like_count,
           comment_count = c.comment_count + excluded.comment_count`,
        [JSON.stringify(posts)],
      );
    }
  }
}

/**
 * Counts what stands, whatever the counters say by then: for a first filling, in which a row would be
 * written again and again by batch after batch, and lanes would wait for one another's.
 */
export const countAll = [
  `SET LOCAL enable_partitionwise_aggregate = on;
   INSERT INTO read_model.post_counts (post_id, like_count, comment_count)
   SELECT post_id, sum(likes), sum(comments)
   FROM (
     SELECT post_id, count(*) AS likes, 0 AS comments FROM read_model.likes GROUP BY post_id
     UNION ALL
     SELECT post_id, 0, count(*) FILTER (WHERE deleted_at IS NULL)
     FROM read_model.comments GROUP BY post_id
   ) AS counted
   GROUP BY post_id
   ON CONFLICT (post_id) DO UPDATE SET
     like_count = excluded.like_count,
     comment_count = excluded.comment_count`,
  `SET LOCAL enable_partitionwise_aggregate = on;
   INSERT INTO read_model.account_counts (account_id, post_count, follower_count, following_count)
   SELECT account_id, sum(posts), sum(followers), sum(following)
   FROM (
     SELECT author_id AS account_id, count(*) FILTER (WHERE deleted_at IS NULL) AS posts,
       0 AS followers, 0 AS following
     FROM read_model.posts GROUP BY author_id
     UNION ALL
     SELECT followee_id, 0, count(*), 0 FROM read_model.follows GROUP BY followee_id
     UNION ALL
     SELECT follower_id, 0, 0, count(*) FROM read_model.follows GROUP BY follower_id
   ) AS counted
   GROUP BY account_id
   ON CONFLICT (account_id) DO UPDATE SET
     post_count = excluded.post_count,
     follower_count = excluded.follower_count,
     following_count = excluded.following_count`,
];
