import { accountId as accountIdSchema } from "../../domain/values.ts";
import { awaitPositionTimeout } from "../../infra/http/positions.ts";
import { Problem } from "../../infra/http/problem.ts";
import {
  accountById,
  accountIdByHandle,
  type ProfileRow,
} from "../../projections/read-model/reads/accounts.ts";
import type { followersOf } from "../../projections/read-model/reads/followers.ts";
import { relationsTo } from "../../projections/read-model/reads/relations.ts";
import { accountJson } from "./cards/card.ts";
import { presentList } from "./cards/presentation.ts";
import type { PageQuery } from "./page-query.ts";
import type { QueryServices } from "./services.ts";

/** Milliseconds between two looks for an account just registered. */
const lookAgainAfter = 25;

/** The signed-in account; waited for when its registration has not arrived in the read model yet. */
export async function me({ sql }: QueryServices, accountId: string): Promise<string> {
  const giveUpAt = performance.now() + awaitPositionTimeout;
  for (;;) {
    const row = await accountById(sql, accountId);
    if (row) return `{"account":${accountJson(row)}}`;
    if (performance.now() >= giveUpAt) {
      throw new Problem("unavailable", "this account is not known here yet", {
        headers: { "Retry-After": "2" },
      });
    }
    await new Promise((resolve) => setTimeout(resolve, lookAgainAfter));
  }
}

/**
 * An account as far as the viewer may know of it: one that blocks the viewer is not there for them.
 * One that the viewer blocks is, so that they can unblock it.
 */
export async function accountOf(
  { sql }: QueryServices,
  accountId: string | undefined,
  viewerId: string | undefined,
): Promise<{ row: ProfileRow; viewer: { following: boolean; blocking: boolean } }> {
  const id = accountIdSchema.safeParse(accountId).data;
  const row = id && await accountById(sql, id);
  if (!row) throw new Problem("account-not-found", "nobody has this id or handle");
  if (viewerId === undefined) return { row, viewer: { following: false, blocking: false } };
  const relations = await relationsTo(sql, viewerId, [row.account_id]);
  if (relations.blockedBy.size > 0) {
    throw new Problem("account-not-found", "nobody has this id or handle");
  }
  const { following, blocking } = relations;
  return { row, viewer: { following: following.size > 0, blocking: blocking.size > 0 } };
}

export async function profileOf(
  services: QueryServices,
  idOrHandle: string | undefined,
  viewerId: string | undefined,
): Promise<string> {
  const isId = accountIdSchema.safeParse(idOrHandle).success;
  const id = isId ? idOrHandle : await accountIdByHandle(services.sql, idOrHandle ?? "");
  const { row, viewer } = await accountOf(services, id, viewerId);
  return `${accountJson(row).slice(0, -1)},"postCount":${row.post_count},` +
    `"followerCount":${row.follower_count},"followingCount":${row.following_count},` +
    `"viewer":${JSON.stringify(viewer)}}`;
}

/** Followers or followees of an account. */
export async function followList(
  services: QueryServices,
  accountId: string | undefined,
  viewerId: string | undefined,
  { before, limit }: PageQuery,
  read: typeof followersOf,
): Promise<string> {
  const { row } = await accountOf(services, accountId, viewerId);
  const rows = await read(services.sql, row.account_id, viewerId, before, limit + 1);
  return presentList(rows, limit, accountJson);
}
