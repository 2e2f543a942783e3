import type { SqlQueries } from "../../../infra/sql/port.ts";

/**
 * What an account has left behind and has not been ended yet, in pages by id. For ending it all when
 * the account is closed.
 */

const pageSize = 500;

/** Pages through `text`, whose last parameter is the id to begin after and which orders by `id`. */
async function* pages<Row extends { id: string }>(
  sql: SqlQueries,
  text: string,
  accountId: string,
): AsyncGenerator<Row[]> {
  let after = "00000000-0000-0000-0000-000000000000";
  while (true) {
    const rows = await sql.query<Row>(text, [accountId, after, pageSize]);
    const last = rows.at(-1);
    if (!last) return;
    yield rows;
    after = last.id;
  }
}

export function livePosts(sql: SqlQueries, accountId: string) {
  return pages<{ id: string }>(
    sql,
    `SELECT post_id AS id FROM read_model.posts
     WHERE author_id = $1 AND post_id > $2 AND deleted_at IS NULL
     ORDER BY post_id LIMIT $3`,
    accountId,
  );
}

export function followees(sql: SqlQueries, accountId: string) {
  return pages<{ id: string }>(
    sql,
    `SELECT followee_id AS id FROM read_model.follows
     WHERE follower_id = $1 AND followee_id > $2
     ORDER BY followee_id LIMIT $3`,
    accountId,
  );
}

export function followers(sql: SqlQueries, accountId: string) {
  return pages<{ id: string }>(
    sql,
    `SELECT follower_id AS id FROM read_model.follows
     WHERE followee_id = $1 AND follower_id > $2
     ORDER BY follower_id LIMIT $3`,
    accountId,
  );
}

export function likedPosts(sql: SqlQueries, accountId: string) {
  return pages<{ id: string }>(
    sql,
    `SELECT post_id AS id FROM read_model.likes
     WHERE account_id = $1 AND post_id > $2
     ORDER BY post_id LIMIT $3`,
    accountId,
  );
}

export function liveComments(sql: SqlQueries, accountId: string) {
  return pages<{ id: string; post_id: string }>(
    sql,
    `SELECT comment_id AS id, post_id FROM read_model.comments
     WHERE author_id = $1 AND comment_id > $2 AND deleted_at IS NULL
     ORDER BY comment_id LIMIT $3`,
    accountId,
  );
}

/** The media of a post, deleted or not. */
export async function mediaOfPost(
  sql: SqlQueries,
  authorId: string,
  postId: string,
): Promise<readonly string[]> {
  const [row] = await sql.query<{ media_ids: string[] }>(
    `SELECT media_ids FROM read_model.posts WHERE author_id = $1 AND post_id = $2`,
    [authorId, postId],
  );
  return row?.media_ids ?? [];
}

/** Those of an account's media that a live post or its avatar still shows. */
export async function mediaInUse(
  sql: SqlQueries,
  ownerId: string,
  mediaIds: readonly string[],
): Promise<Set<string>> {
  const rows = await sql.query<{ id: string }>(
    `SELECT media.id FROM unnest($2::uuid[]) AS media (id)
     WHERE EXISTS (
       SELECT FROM read_model.posts
       WHERE author_id = $1 AND deleted_at IS NULL AND media.id = ANY (media_ids)
     ) OR EXISTS (
       SELECT FROM read_model.accounts
       WHERE account_id = $1 AND closed_at IS NULL AND avatar_media_id = media.id
     )`,
    [ownerId, mediaIds],
  );
  return new Set(rows.map((row) => row.id));
}
