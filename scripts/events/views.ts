import { type EventTable, eventTables } from "./columns.ts";
import { name, quote } from "./duckdb.ts";
import { formats } from "./formats.ts";

/** A view, and what it is for. Later ones are made of earlier ones. */
export interface View {
  readonly name: string;
  readonly columns: string;
  readonly what: string;
  readonly sql: string;
}

/**
 * The view of one type of event: what happened up to a moment.
 * @param at milliseconds since the epoch
 */
export function eventView(table: EventTable, files: readonly string[], at?: number): string {
  const columns = table.columns.map(({ name: column, type }) => `${name(column)}::${type}`);
  const from = files.length === 0
    ? `(SELECT ${table.columns.map((c) => `NULL::${c.type} AS ${name(c.name)}`)} WHERE false)`
    : formats.parquet.read(files, table);
  const until = at === undefined ? "" : `WHERE time <= epoch_ms(${at})::TIMESTAMP`;
  return `CREATE VIEW ${name(table.type)} AS
    SELECT ${columns.map((column, nth) => `${column} AS ${name(table.columns[nth]?.name ?? "")}`)},
      time::DATE AS day
    FROM ${from} ${until}`;
}

/** All events in one view; their data as JSON. */
export const eventsView: View = {
  name: "events",
  columns: 'id, type, time, day, topic, partition, "offset", key, data',
  what: "every event; data is JSON",
  sql: eventTables.map(({ type, key, columns }) => {
    const data = columns.slice(5).map((column) => `${name(column.name)} := ${name(column.name)}`);
    return `SELECT id, ${quote(type)} AS type, time, day, topic, partition, "offset",
      ${name(key)} AS key, to_json(struct_pack(${data})) AS data FROM ${name(type)}`;
  }).join("\nUNION ALL\n"),
};

/**
 * A set in which the last fact about a pair counts. It stands since the first fact that put it in
 * after the last that took it out; facts about a pair lie in one partition, so offsets order them.
 */
function standing(adds: string, ends: string, left: string, right: string, since: string): string {
  return `
    SELECT ${left}, ${right}, min(time) AS ${since}, min(id) AS event_id
    FROM ${adds} LEFT JOIN (
      SELECT ${left}, ${right}, max("offset") AS ended FROM ${ends} GROUP BY ALL
    ) USING (${left}, ${right})
    WHERE "offset" > coalesce(ended, -1)
    GROUP BY ${left}, ${right}`;
}

/**
 * What stands at the moment. What begins an account, a post or a comment is one event: a retry appends
 * the same, and an export holds it once.
 */
export const stateViews: readonly View[] = [
  {
    name: "accounts",
    columns: "account_id, handle, display_name, bio, avatar_media_id, registered_at",
    what: "open accounts",
    // A change may overtake the registration on its way to the log: it counts as the later anyway.
    sql: `
      WITH said AS (
        SELECT account_id, -1 AS nth, display_name, NULL AS bio, NULL AS avatar_media_id, present
        FROM AccountRegistered
        UNION ALL
        SELECT account_id, "offset", display_name, bio, avatar_media_id, present
        FROM ProfileChanged
      ), profiles AS (
        SELECT account_id,
          arg_max({v: display_name}, nth) FILTER ('display_name' IN present) AS display_name,
          arg_max({v: bio}, nth) FILTER ('bio' IN present) AS bio,
          arg_max({v: avatar_media_id}, nth) FILTER ('avatar_media_id' IN present) AS avatar
        FROM said GROUP BY account_id
      )
      SELECT account_id, handle, profiles.display_name.v AS display_name, profiles.bio.v AS bio,
        profiles.avatar.v AS avatar_media_id, registered_at
      FROM (
        SELECT account_id, handle, time AS registered_at FROM AccountRegistered
      ) JOIN profiles USING (account_id)
      WHERE account_id NOT IN (SELECT account_id FROM AccountClosed)`,
  },
  {
    name: "posts",
    columns: "post_id, author_id, created_at, caption, media_ids, alt_texts",
    what: "posts that stand, of open accounts",
    sql: `
      SELECT post_id, author_id, created_at,
        CASE WHEN changed IS NULL THEN first_caption ELSE changed.v END AS caption,
        media_ids, alt_texts
      FROM (
        SELECT post_id, author_id, time AS created_at, caption AS first_caption, media_ids, alt_texts
        FROM PostCreated
      ) LEFT JOIN (
        SELECT post_id, arg_max({v: caption}, "offset") AS changed
        FROM CaptionChanged GROUP BY post_id
      ) USING (post_id)
      WHERE post_id NOT IN (SELECT post_id FROM PostDeleted)
        AND author_id NOT IN (SELECT account_id FROM AccountClosed)`,
  },
  {
    name: "follows",
    columns: "follower_id, followee_id, followed_at, event_id",
    what: "who follows whom",
    sql: standing(
      "AccountFollowed",
      "AccountUnfollowed",
      "follower_id",
      "followee_id",
      "followed_at",
    ),
  },
  {
    name: "blocks",
    columns: "blocker_id, blocked_id, blocked_at, event_id",
    what: "who blocks whom",
    sql: standing("AccountBlocked", "AccountUnblocked", "blocker_id", "blocked_id", "blocked_at"),
  },
  {
    name: "likes",
    columns: "post_id, account_id, liked_at, event_id",
    what: "who likes which post",
    sql: standing("PostLiked", "PostUnliked", "post_id", "account_id", "liked_at"),
  },
  {
    name: "comments",
    columns: "comment_id, post_id, author_id, created_at, text",
    what: "comments that stand",
    sql: `
      SELECT comment_id, post_id, author_id, time AS created_at, text
      FROM CommentAdded
      WHERE comment_id NOT IN (SELECT comment_id FROM CommentDeleted)`,
  },
  {
    name: "media",
    columns: "media_id, owner_id, status, uploaded_at",
    what: "uploads; status is processing, ready, rejected or purged",
    // As in the manifests: what stands later here replaces what stands earlier.
    sql: `
      SELECT media_id, arg_max(owner_id, rank) AS owner_id,
        ['processing', 'rejected', 'ready', 'purged'][max(rank)] AS status,
        min(time) FILTER (rank = 1) AS uploaded_at
      FROM (
        SELECT media_id, owner_id, time, 1 AS rank FROM MediaUploaded UNION ALL
        SELECT media_id, owner_id, time, 2 FROM MediaRejected UNION ALL
        SELECT media_id, owner_id, time, 3 FROM VariantsReady UNION ALL
        SELECT media_id, owner_id, time, 4 FROM MediaPurged
      ) GROUP BY media_id`,
  },
  {
    name: "feeds",
    columns: "reader_id, rank, post_id, author_id",
    what: "what each reader's feed shows, rank 1 on top; ask for one reader where you can",
    // As the query edge shows them: not where either blocks the other, nor while no medium can be shown.
    sql: `
      SELECT reader_id,
        row_number() OVER (PARTITION BY reader_id ORDER BY post_id DESC) AS rank,
        post_id, author_id
      FROM (
        SELECT follower_id AS reader_id, post_id, author_id
        FROM follows JOIN posts ON author_id = followee_id
        WHERE post_id NOT IN (
          SELECT post_id FROM (SELECT post_id, unnest(media_ids) AS media_id FROM posts)
          LEFT JOIN media USING (media_id)
          GROUP BY post_id
          HAVING bool_and(coalesce(status, 'processing') IN ('rejected', 'purged'))
        )
      ) AS shown
      WHERE NOT EXISTS (
        SELECT 1 FROM blocks WHERE blocker_id = reader_id AND blocked_id = author_id
      ) AND NOT EXISTS (
        SELECT 1 FROM blocks WHERE blocked_id = reader_id AND blocker_id = author_id
      )`,
  },
];

/** Questions that are asked again and again. */
export const readyViews: readonly View[] = [
  {
    name: "posts_per_day",
    columns: "day, posts, authors",
    what: "posts made, and by how many",
    sql: `SELECT day, count(DISTINCT post_id) AS posts, count(DISTINCT author_id) AS authors
      FROM PostCreated GROUP BY day ORDER BY day`,
  },
  {
    name: "time_from_upload_to_variants",
    columns: "day, media, p50_ms, p95_ms, p99_ms",
    what: "how long uploads of a day waited for their variants",
    sql: `
      SELECT uploaded::DATE AS day, count(*) AS media,
        quantile_cont(ms, 0.5) AS p50_ms, quantile_cont(ms, 0.95) AS p95_ms,
        quantile_cont(ms, 0.99) AS p99_ms
      FROM (
        SELECT uploaded, date_diff('millisecond', uploaded, ready) AS ms
        FROM (SELECT media_id, min(time) AS uploaded FROM MediaUploaded GROUP BY media_id)
        JOIN (SELECT media_id, min(time) AS ready FROM VariantsReady GROUP BY media_id)
          USING (media_id)
      )
      GROUP BY day ORDER BY day`,
  },
  {
    name: "follower_growth",
    columns: "day, account_id, gained, lost, followers",
    what: "followers an account won and lost on a day, and had at its end",
    // A follow of one who follows already, or an unfollow of one who does not, changes nothing.
    sql: `
      SELECT day, account_id, gained, lost,
        (sum(gained - lost) OVER (PARTITION BY account_id ORDER BY day))::INTEGER AS followers
      FROM (
        SELECT day, followee_id AS account_id,
          (count(*) FILTER (follows))::INTEGER AS gained,
          (count(*) FILTER (NOT follows))::INTEGER AS lost
        FROM (
          SELECT day, followee_id, follows
          FROM (
            SELECT day, follower_id, followee_id, "offset", true AS follows FROM AccountFollowed
            UNION ALL
            SELECT day, follower_id, followee_id, "offset", false FROM AccountUnfollowed
          )
          QUALIFY follows <> lag(follows, 1, false)
            OVER (PARTITION BY follower_id, followee_id ORDER BY "offset")
        )
        GROUP BY ALL
      )
      ORDER BY day, account_id`,
  },
  {
    name: "most_liked",
    columns: "post_id, author_id, caption, created_at, likes",
    what: "posts that stand, the most liked first",
    sql: `
      SELECT post_id, author_id, caption, created_at, likes
      FROM posts JOIN (SELECT post_id, count(*)::INTEGER AS likes FROM likes GROUP BY post_id) USING (post_id)
      ORDER BY likes DESC, post_id DESC`,
  },
];
