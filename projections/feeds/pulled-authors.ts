import type { SqlQueries } from "../../infra/sql/port.ts";
import { newest } from "../read-model/reads/keyset.ts";
import type { FeedsServices } from "./services.ts";

/** A pulled author is pushed again below this part of the threshold, so that none goes to and fro. */
const pushAgainBelow = 0.8;

/**
 * Which of these authors' new posts are to be pushed; those of the others are left to readers. Moves
 * authors across the threshold on the way, for it is when they post that it matters.
 *
 * **Up.** The author is put on record, which begins a fan-out of its own: it names the author in the
 * cached feeds of all followers, who pull from then on. Until it is through, posts are pushed as
 * before; after it, none need be. Whose feed comes to be meanwhile finds the author on record: a
 * reader who fills it, and a follow that is settled.
 *
 * **Down.** The author is taken off the record, and posts are pushed again. Nothing has to be moved:
 * a feed that lacks some of the author's posts names the author, and does so as long as it lives.
 *
 * A post is left to readers only when the author was on record *after* the read model had the post.
 * So whoever looks later and finds no record finds the post in the read model. That is why fillers
 * and settlers look for records first, and for posts second.
 */
export async function authorsToPush(
  authorIds: readonly string[],
  { sql, pullThreshold }: Pick<FeedsServices, "sql" | "pullThreshold">,
): Promise<{ pushed: readonly string[]; announced: boolean }> {
  const authors = await sql.query<{ author_id: string; followers: number; state: State }>(
    `SELECT author.author_id, coalesce(follower_count, 0) AS followers,
       CASE WHEN pulled.author_id IS NULL THEN 'pushed'
         WHEN announced_by IS NULL THEN 'pulled' ELSE 'announced' END AS state
     FROM unnest($1::uuid[]) AS author (author_id)
     LEFT JOIN read_model.account_counts ON account_id = author.author_id
     LEFT JOIN feeds.pulled_authors AS pulled ON pulled.author_id = author.author_id`,
    [authorIds],
  );
  const pushed: string[] = [];
  let announced = false;
  for (const { author_id, followers, state } of authors) {
    if (state === "pushed" && followers >= pullThreshold) {
      await announce(sql, author_id);
      announced = true;
    }
    const again = state !== "pushed" && followers < pushAgainBelow * pullThreshold;
    if (again) await takeOffRecord(sql, author_id);
    if (state !== "pulled" || again) pushed.push(author_id);
  }
  return { pushed, announced };
}

type State = "pushed" | "announced" | "pulled";

/** Does nothing when another process has just done it. */
async function announce(sql: SqlQueries, authorId: string): Promise<void> {
  await sql.query(
    `WITH announced AS (
       INSERT INTO feeds.pulled_authors (author_id, announced_by) VALUES ($1, gen_random_uuid())
       ON CONFLICT DO NOTHING
       RETURNING author_id, announced_by
     )
     INSERT INTO feeds.fan_outs (fan_out_id, author_id, kind, before)
     SELECT announced_by, author_id, 'pull', $2 FROM announced`,
    [authorId, newest],
  );
}

async function takeOffRecord(sql: SqlQueries, authorId: string): Promise<void> {
  await sql.query(
    `WITH removed AS (DELETE FROM feeds.pulled_authors WHERE author_id = $1)
     DELETE FROM feeds.fan_outs WHERE author_id = $1 AND kind = 'pull'`,
    [authorId],
  );
}

/** Those of the authors that are on record. */
export async function pulledAmong(
  sql: SqlQueries,
  authorIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await sql.query<{ author_id: string }>(
    "SELECT author_id FROM feeds.pulled_authors WHERE author_id = ANY ($1::uuid[])",
    [authorIds],
  );
  return new Set(rows.map((row) => row.author_id));
}

/** The authors on record that a reader follows. */
export async function pulledFor(sql: SqlQueries, readerId: string): Promise<readonly string[]> {
  const rows = await sql.query<{ author_id: string }>(
    `SELECT author_id FROM feeds.pulled_authors AS pulled
     WHERE EXISTS (
       SELECT FROM read_model.follows
       WHERE follower_id = $1 AND followee_id = pulled.author_id
     )`,
    [readerId],
  );
  return rows.map((row) => row.author_id);
}
