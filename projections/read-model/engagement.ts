import type { EngagementEvent } from "../../domain/engagement.ts";
import type { SqlTransaction } from "../../infra/sql/port.ts";
import type { KeyMemory } from "../runner/key-memory.ts";
import type { Counts } from "./counts.ts";
import { applyMemberships, deltaOf, type Membership, type MembershipTable } from "./membership.ts";
import type { SeenEvents } from "./seen-events.ts";

const likesTable: MembershipTable = {
  table: "read_model.likes",
  left: "post_id",
  right: "account_id",
  event: "like_id",
};

type CommentEvent = Extract<EngagementEvent, { type: "CommentAdded" | "CommentDeleted" }>;

export async function applyEngagement(
  events: readonly EngagementEvent[],
  transaction: SqlTransaction,
  seen: SeenEvents,
  counts: Counts,
  memory?: KeyMemory,
): Promise<void> {
  const likes: Membership[] = [];
  const comments: CommentEvent[] = [];
  for (const event of events) {
    if (event.type === "CommentAdded" || event.type === "CommentDeleted") comments.push(event);
    else {
      const { id: eventId, type, data: { postId, accountId } } = event;
      likes.push({ eventId, left: postId, right: accountId, adds: type === "PostLiked" });
    }
  }
  for (const change of await applyMemberships(likesTable, likes, transaction, seen, memory)) {
    counts.posts.add(change.left, "like_count", deltaOf(change));
  }
  if (comments.length > 0) await applyComments(comments, transaction, counts, memory);
}

interface CommentRow {
  readonly post_id: string;
  readonly comment_id: string;
  readonly author_id: string;
  readonly body: string | null;
  /** Times as text, so that a row is written back exactly as it was read. */
  readonly created_at: string;
  readonly deleted_at: string | null;
}

/** A comment's deletion comes after it, being of the same key: without the comment it is void. */
async function applyComments(
  events: readonly CommentEvent[],
  transaction: SqlTransaction,
  counts: Counts,
  memory?: KeyMemory,
): Promise<void> {
  const due = memory ? events.filter(({ data }) => memory.recall(data.commentId)) : events;
  const rows = due.length === 0 ? [] : await loadComments(transaction, due);
  const comments = new Map(rows.map((row) => [row.comment_id, row]));
  const loaded = new Set(comments.keys());
  const changed = new Map<string, CommentRow>();
  const put = (comment: CommentRow, delta: number) => {
    comments.set(comment.comment_id, comment);
    changed.set(comment.comment_id, comment);
    counts.posts.add(comment.post_id, "comment_count", delta);
  };
  for (const event of events) {
    const { postId: post_id, commentId: comment_id } = event.data;
    const comment = comments.get(comment_id);
    if (event.type === "CommentAdded") {
      if (comment) continue;
      const { authorId: author_id, text: body } = event.data;
      const created_at = event.time;
      put({ post_id, comment_id, author_id, body, created_at, deleted_at: null }, 1);
    } else if (comment && comment.deleted_at === null) {
      put({ ...comment, body: null, deleted_at: event.time }, -1);
    }
  }
  const { fresh = [], known = [] } = Object.groupBy(
    changed.values(),
    (row) => memory && !loaded.has(row.comment_id) ? "fresh" : "known",
  );
  if (known.length > 0) await saveComments(transaction, known);
  if (fresh.length > 0) {
    await transaction.copy(
      "read_model.comments",
      ["post_id", "comment_id", "author_id", "body", "created_at", "deleted_at"],
      fresh.map((row) => [
        row.post_id,
        row.comment_id,
        row.author_id,
        row.body,
        row.created_at,
        row.deleted_at,
      ]),
    );
  }
}

/** One index probe per comment: see `applyMemberships`. */
async function loadComments(
  transaction: SqlTransaction,
  events: readonly CommentEvent[],
): Promise<CommentRow[]> {
  return await transaction.query<CommentRow>(
    `SELECT comment.*
     FROM unnest($1::uuid[], $2::uuid[]) AS key (post_id, comment_id)
     CROSS JOIN LATERAL (
       SELECT post_id, comment_id, author_id, body, created_at::text, deleted_at::text
       FROM read_model.comments AS c
       WHERE c.post_id = key.post_id AND c.comment_id = key.comment_id LIMIT 1
     ) AS comment`,
    [events.map(({ data }) => data.postId), events.map(({ data }) => data.commentId)],
  );
}

async function saveComments(
  transaction: SqlTransaction,
  rows: readonly CommentRow[],
): Promise<void> {
  await transaction.query(
    `INSERT INTO read_model.comments (post_id, comment_id, author_id, body, created_at, deleted_at)
     SELECT * FROM json_to_recordset($1::json) AS r (post_id uuid, comment_id uuid, author_id uuid,
       body text, created_at timestamptz, deleted_at timestamptz)
     ON CONFLICT (post_id, comment_id) DO UPDATE SET
       body = excluded.body,
       deleted_at = excluded.deleted_at`,
    [JSON.stringify(rows)],
  );
}
