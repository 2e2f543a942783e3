import type { SqlTransaction } from "../../infra/sql/port.ts";

/** What a batch adds to counters, summed up, so that each counted row is written once per batch. */
class Deltas<Counter extends string> {
  readonly #zero: Readonly<Record<Counter, number>>;
  readonly #byId = new Map<string, Record<Counter, number>>();

  constructor(zero: Readonly<Record<Counter, number>>) {
    this.#zero = zero;
  }

  /** A delta of 0 still makes the row: whether it exists must not depend on where batches are cut. */
  add(id: string, counter: Counter, delta: number): void {
    let deltas = this.#byId.get(id);
    if (!deltas) this.#byId.set(id, deltas = { ...this.#zero });
    deltas[counter] += delta;
  }

  rows(): ({ id: string } & Record<Counter, number>)[] {
    return [...this.#byId].map(([id, deltas]) => ({ id, ...deltas }));
  }
}

/** Counters of accounts and posts, whether these are known yet or not. */
export class Counts {
  readonly accounts = new Deltas({ post_count: 0, follower_count: 0, following_count: 0 });
  readonly posts = new Deltas({ like_count: 0, comment_count: 0 });

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
