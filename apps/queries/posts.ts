import { postId as postIdSchema } from "../../domain/values.ts";
import { Problem } from "../../infra/http/problem.ts";
import { type CommentRow, commentsOf } from "../../projections/read-model/reads/comments.ts";
import { likersOf } from "../../projections/read-model/reads/likes.ts";
import { accountJson, type Card } from "./cards/card.ts";
import { hydrate } from "./cards/hydration.ts";
import { presentList } from "./cards/presentation.ts";
import { maySee } from "./cards/rules.ts";
import type { PageQuery } from "./page-query.ts";
import type { QueryServices } from "./services.ts";

/** A post that the viewer may see. @throws {Problem} 404 for any other. */
export async function postOf(
  { sql }: QueryServices,
  postId: string | undefined,
  viewerId: string | undefined,
): Promise<{ postId: string; card: Card; liked: boolean }> {
  const id = postIdSchema.safeParse(postId).data?.toLowerCase();
  if (id !== undefined) {
    const { cards, liked, relations } = await hydrate(sql, viewerId, [id]);
    const card = cards.get(id);
    if (card && maySee(card, viewerId, relations)) {
      return { postId: id, card, liked: liked.has(id) };
    }
  }
  throw new Problem("post-not-found", "no such post");
}

export async function comments(
  services: QueryServices,
  ofPost: string | undefined,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
): Promise<string> {
  const { postId } = await postOf(services, ofPost, viewerId);
  const rows = await commentsOf(services.sql, postId, viewerId, before, limit + 1);
  return presentList(rows, limit, commentJson);
}

function commentJson(row: CommentRow): string {
  return `{"id":"${row.id}","author":${accountJson(row)},` +
    `"text":${JSON.stringify(row.body ?? "")},"createdAt":"${row.created_at.toISOString()}"}`;
}

export async function likers(
  services: QueryServices,
  ofPost: string | undefined,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
): Promise<string> {
  const { postId } = await postOf(services, ofPost, viewerId);
  const rows = await likersOf(services.sql, postId, viewerId, before, limit + 1);
  return presentList(rows, limit, accountJson);
}
