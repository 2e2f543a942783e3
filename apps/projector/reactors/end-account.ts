import { topics } from "../../../domain/event.ts";
import type { DomainEvent } from "../../../domain/events.ts";
import { parseOriginalKey } from "../../../domain/media.ts";
import {
  followees,
  followers,
  likedPosts,
  liveComments,
  livePosts,
} from "../../../projections/read-model/reads/traces.ts";
import { purge, type PurgeServices } from "../lanes/purges.ts";
import { appendAll, type Reactor, readModelReached } from "./reactor.ts";

/**
 * When an account is closed, everything it left behind is ended by an event under its own key: its
 * posts, follows both ways, likes and comments. So counters and lists follow from the log alone, in
 * whatever order a rebuild reads it. What it uploaded is purged.
 */
export function endAccount(services: PurgeServices, graceMs: number): Reactor {
  return {
    name: "end-account",
    topics: ["accounts"],
    eventTypes: ["AccountClosed"],
    async react(event, signal) {
      if (event.type !== "AccountClosed") return;
      const { accountId } = event.data;
      await sweep(accountId, services, signal);
      // Other edges may have taken commands of this account until they noticed that its sessions are
      // gone. What they took is ended by a second sweep.
      const elapsed = services.now().getTime() - Date.parse(event.time);
      await pause(graceMs - elapsed, signal);
      await sweep(accountId, services, signal);
    },
  };
}

async function sweep(
  accountId: string,
  services: PurgeServices,
  signal: AbortSignal,
): Promise<void> {
  const { log, sql, progress, store } = services;
  const ends = (await log.watermarks(topics)).filter(({ high }) => high > 0)
    .map(({ topic, partition, high }) => ({ topic, partition, offset: high - 1 }));
  await readModelReached(ends, progress, signal);

  const end = async (said: Ended[]) => {
    signal.throwIfAborted();
    const envelope = () => ({ id: services.newId(), time: services.now().toISOString() });
    await appendAll(said.map((event) => ({ ...envelope(), ...event })), services);
  };
  for await (const page of livePosts(sql, accountId)) {
    await end(page.map(({ id }) => ({
      type: "PostDeleted",
      data: { postId: id, authorId: accountId, cause: "account-closed" },
    })));
  }
  for await (const page of followees(sql, accountId)) {
    await end(page.map(({ id }) => ({
      type: "AccountUnfollowed",
      data: { followerId: accountId, followeeId: id },
    })));
  }
  for await (const page of followers(sql, accountId)) {
    await end(page.map(({ id }) => ({
      type: "AccountUnfollowed",
      data: { followerId: id, followeeId: accountId },
    })));
  }
  for await (const page of likedPosts(sql, accountId)) {
    await end(page.map(({ id }) => ({ type: "PostUnliked", data: { postId: id, accountId } })));
  }
  for await (const page of liveComments(sql, accountId)) {
    await end(page.map(({ id, post_id }) => ({
      type: "CommentDeleted",
      data: { postId: post_id, commentId: id, deletedBy: accountId },
    })));
  }
  for await (const { key } of store.list(`originals/${accountId}/`)) {
    const original = parseOriginalKey(key);
    if (original) await purge({ ...original, cause: "account-closed" }, services);
  }
}

type Ended = DomainEvent extends infer E ? E extends DomainEvent ? Pick<E, "type" | "data"> : never
  : never;

/** @throws when `signal` aborts first. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, Math.max(0, milliseconds));
    signal.addEventListener("abort", abort, { once: true });
  });
}
