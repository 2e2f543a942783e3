import type { Relation } from "../../../domain/follow.ts";
import type { Post } from "../../../domain/post.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";

/**
 * What deciders must know of other aggregates. Each is one statement; undefined means that the read
 * model has not heard of it, or not yet.
 */

/** A post, and whether its author and the actor block one another, either way. */
export async function postFacts(
  sql: SqlQueries,
  postId: string,
  actorId: string,
): Promise<{ post: Post; blocked: boolean } | undefined> {
  const [row] = await sql.query<{ author_id: string; deleted: boolean; blocked: boolean }>(
    // The post's partition is found by its author while this runs: see `postsById`.
    `SELECT post.author_id, post.deleted,
       EXISTS (
         SELECT FROM read_model.blocks
         WHERE (blocker_id = post.author_id AND blocked_id = $2)
            OR (blocker_id = $2 AND blocked_id = post.author_id)
       ) AS blocked
     FROM (SELECT author_id FROM read_model.post_authors WHERE post_id = $1 LIMIT 1) AS origin
     CROSS JOIN LATERAL (
       SELECT author_id, deleted_at IS NOT NULL AS deleted FROM read_model.posts
       WHERE posts.author_id = origin.author_id AND posts.post_id = $1 LIMIT 1
     ) AS post`,
    [postId, actorId],
  );
  if (!row) return undefined;
  const status = row.deleted ? "deleted" : "live";
  return { post: { status, authorId: row.author_id }, blocked: row.blocked };
}

/** A comment's author, or null once it is deleted. */
export async function commentFacts(
  sql: SqlQueries,
  postId: string,
  commentId: string,
): Promise<{ authorId: string | null } | undefined> {
  const [row] = await sql.query<{ author_id: string; deleted: boolean }>(
    `SELECT author_id, deleted_at IS NOT NULL AS deleted FROM read_model.comments
     WHERE post_id = $1 AND comment_id = $2`,
    [postId, commentId],
  );
  return row && { authorId: row.deleted ? null : row.author_id };
}

/** Another account, and how the actor stands to it. */
export async function relationFacts(
  sql: SqlQueries,
  actorId: string,
  targetId: string,
): Promise<{ closed: boolean; relation: Relation } | undefined> {
  const [row] = await sql.query<{
    closed: boolean;
    following: boolean;
    followed_by: boolean;
    blocking: boolean;
    blocked_by: boolean;
  }>(
    `SELECT closed_at IS NOT NULL AS closed,
       EXISTS (
         SELECT FROM read_model.follows WHERE follower_id = $1 AND followee_id = $2
       ) AS following,
       EXISTS (
         SELECT FROM read_model.follows WHERE follower_id = $2 AND followee_id = $1
       ) AS followed_by,
       EXISTS (
         SELECT FROM read_model.blocks WHERE blocker_id = $1 AND blocked_id = $2
       ) AS blocking,
       EXISTS (
         SELECT FROM read_model.blocks WHERE blocker_id = $2 AND blocked_id = $1
       ) AS blocked_by
     FROM read_model.accounts WHERE account_id = $2`,
    [actorId, targetId],
  );
  if (!row) return undefined;
  const { closed, following, followed_by, blocking, blocked_by } = row;
  return {
    closed,
    relation: { following, followedBy: followed_by, blocking, blockedBy: blocked_by },
  };
}
