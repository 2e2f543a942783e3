import type { SqlQueries } from "../../infra/sql/port.ts";

/** Something that an author's followers are being told. */
export interface FanOut {
  readonly fan_out_id: string;
  readonly author_id: string;
  readonly kind: "push" | "pull";
  /** Followers whose follows are below this id are still to be told. */
  readonly before: string;
  /** Names this taking among all that there ever are: until when it holds. */
  readonly taken: string;
}

/**
 * Records that posts are still to be pushed. One that is on record already begins anew, and is nobody's:
 * if this is a dead letter redriven, feeds were filled without the post behind its cursor.
 */
export async function beginFanOuts(
  sql: SqlQueries,
  authorId: string,
  postIds: readonly string[],
  before: string,
): Promise<void> {
  await sql.query(
    `INSERT INTO feeds.fan_outs (fan_out_id, author_id, kind, before)
     SELECT post_id, $1, 'push', $3 FROM unnest($2::uuid[]) AS post (post_id)
     ON CONFLICT (fan_out_id) DO UPDATE
       SET before = greatest(fan_outs.before, excluded.before), taken_until = '-infinity'`,
    [authorId, postIds, before],
  );
}

/**
 * The fan-out that has waited longest for a slice. Nobody else takes it for ten seconds, unless it is
 * moved on before: a process that was killed over it holds it up for no longer. Two at work on the
 * same slice do no harm.
 */
export async function takeFanOut(sql: SqlQueries): Promise<FanOut | undefined> {
  const [taken] = await sql.query<FanOut>(
    `UPDATE feeds.fan_outs SET taken_until = clock_timestamp() + interval '10 seconds'
     WHERE fan_out_id = (
       SELECT fan_out_id FROM feeds.fan_outs
       WHERE taken_until < clock_timestamp()
       ORDER BY served_at
       LIMIT 1
       FOR UPDATE SKIP LOCKED
     )
     RETURNING fan_out_id, author_id, kind, before, taken_until::text AS taken`,
  );
  return taken;
}

/**
 * After a slice; does nothing unless the taking still stands: someone else may have been through it
 * in the meantime, or it may have begun anew.
 */
export async function moveFanOut(sql: SqlQueries, fanOut: FanOut, before: string): Promise<void> {
  await sql.query(
    `UPDATE feeds.fan_outs
     SET before = $3, served_at = clock_timestamp(), taken_until = '-infinity'
     WHERE fan_out_id = $1 AND taken_until = $2`,
    [fanOut.fan_out_id, fanOut.taken, before],
  );
}

/**
 * After the last slice, and under the same condition: what ended, was redriven and began anew is not
 * ended by a process that was held up over its last slice all the while. One statement, so that an announcement is through, and its author's posts
 * left to readers, exactly when it is off the record.
 */
export async function endFanOut(sql: SqlQueries, fanOut: FanOut): Promise<void> {
  await sql.query(
    `WITH ended AS (
       DELETE FROM feeds.fan_outs WHERE fan_out_id = $1 AND taken_until = $2
       RETURNING fan_out_id
     )
     UPDATE feeds.pulled_authors SET announced_by = NULL
     WHERE announced_by IN (SELECT fan_out_id FROM ended)`,
    [fanOut.fan_out_id, fanOut.taken],
  );
}
