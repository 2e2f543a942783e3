import { postId as postIdSchema } from "../../domain/values.ts";
import type { TaggedJson } from "../../infra/http/etag.ts";
import { Problem } from "../../infra/http/problem.ts";
import { type CommentRow, commentsOf } from "../../projections/read-model/reads/comments.ts";
import { likersOf } from "../../projections/read-model/reads/likes.ts";
import { accountJson, type Card } from "./cards/card.ts";
import type { Hydrated, Hydration } from "./cards/hydration.ts";
import { presentCard, presentList } from "./cards/presentation.ts";
import { maySee, strangers } from "./cards/rules.ts";
import { when } from "./cards/when.ts";
import type { PageQuery } from "./page-query.ts";
import type { QueryServices } from "./services.ts";

/** @throws {Problem} 404 for what is none: it names nothing there can be. */
export function idOfPost(text: string | undefined): string {
  const id = postIdSchema.safeParse(text).data?.toLowerCase();
  if (id === undefined) throw noSuchPost();
  return id;
}

/** A post as the viewer may see it; at once, when it is in memory. @throws {Problem} 404. */
export function postDetail(
  hydration: Hydration,
  postId: string,
  viewerId: string | undefined,
): TaggedJson | Promise<TaggedJson> {
  const present = (hydrated: Hydrated) =>
    presentCard(visible(hydrated, viewerId), hydrated.liked[0] ?? false);
  return when(hydration.hydrate(viewerId, [postId]), present);
}

/** The id of a post that the viewer may see. @throws {Problem} 404 for any other. */
async function postOf(
  hydration: Hydration,
  postId: string | undefined,
  viewerId: string | undefined,
): Promise<string> {
  const id = idOfPost(postId);
  visible(await hydration.hydrate(viewerId, [id]), viewerId);
  return id;
}

/** The card of the one post that was asked for. @throws {Problem} 404 when it may not be seen. */
function visible(hydrated: Hydrated, viewerId: string | undefined): Card {
  const { cards: [card], relations: [relation = strangers] } = hydrated;
  if (card && maySee(card, viewerId, relation)) return card;
  throw noSuchPost();
}

function noSuchPost(): Problem {
  return new Problem("post-not-found", "no such post");
}

export async function comments(
  { sql }: QueryServices,
  hydration: Hydration,
  ofPost: string | undefined,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
): Promise<string> {
  const postId = await postOf(hydration, ofPost, viewerId);
  const rows = await commentsOf(sql, postId, viewerId, before, limit + 1);
  return presentList(rows, limit, commentJson);
}

function commentJson(row: CommentRow): string {
  return `{"id":"${row.id}","author":${accountJson(row)},` +
    `"text":${JSON.stringify(row.body ?? "")},"createdAt":"${row.created_at.toISOString()}"}`;
}

export async function likers(
  { sql }: QueryServices,
  hydration: Hydration,
  ofPost: string | undefined,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
): Promise<string> {
  const postId = await postOf(hydration, ofPost, viewerId);
  const rows = await likersOf(sql, postId, viewerId, before, limit + 1);
  return presentList(rows, limit, accountJson);
}
