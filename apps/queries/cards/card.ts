import type { AccountRow } from "../../../projections/read-model/reads/accounts.ts";
import type { PostCardRow } from "../../../projections/read-model/reads/post-cards.ts";

/** What everyone sees of a post: the same for all viewers, so that it may be kept between them. */
export interface Card {
  readonly authorId: string;
  /** Whether any of its media can be shown, now or once it is processed. */
  readonly hasMedia: boolean;
  /** JSON text up to and with `"viewer":`. */
  readonly json: string;
}

export function cardOf(row: PostCardRow): Card {
  const media: string[] = [];
  let hasMedia = false;
  for (const [nth, mediaId] of row.media_ids.entries()) {
    const status = row.media_statuses[nth];
    if (status === "purged") continue;
    hasMedia ||= status !== "rejected";
    const manifest = row.manifests[nth] ?? `{"mediaId":"${mediaId}","status":"processing"}`;
    const altText = JSON.stringify(row.alt_texts[mediaId] ?? null);
    media.push(`${manifest.slice(0, -1)},"altText":${altText}}`);
  }
  return {
    authorId: row.account_id,
    hasMedia,
    json: `{"id":"${row.post_id}","author":${accountJson(row)},` +
      `"caption":${JSON.stringify(row.caption ?? "")},` +
      `"createdAt":"${row.created_at.toISOString()}",` +
      `"likeCount":${row.like_count},"commentCount":${row.comment_count},` +
      `"media":[${media.join(",")}],"viewer":`,
  };
}

/** An account as JSON text. Without a display name it goes by its handle. */
export function accountJson(row: AccountRow): string {
  const avatar = row.avatar === null ? "" : `,"avatar":${row.avatar}`;
  return `{"id":"${row.account_id}","handle":${JSON.stringify(row.handle)},` +
    `"displayName":${JSON.stringify(row.display_name ?? row.handle)},` +
    `"bio":${JSON.stringify(row.bio ?? "")}${avatar}}`;
}
