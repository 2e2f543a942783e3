import assert from "node:assert/strict";
import type { ShutterlogClient } from "../client/client.ts";

/**
 * Every answer there is to give to these viewers about these accounts, by viewer and path, byte for
 * byte: profiles, lists page by page, feeds, posts, comments, likes, media.
 */
export async function everyAnswer(
  viewers: readonly ShutterlogClient[],
  accountIds: readonly string[],
): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  for (const viewer of viewers) {
    const name = viewer.session?.account.handle ?? "nobody";
    const get = async (path: string) => {
      const answer = await viewer.request("GET", path, {
        headers: { "X-Request-Id": "the-same-for-all" }, // Problem documents name it.
      });
      answers.set(
        `${name} ${path}`,
        `${answer.status} ${answer.headers.get("etag")} ${answer.text}`,
      );
      return answer.status === 200 ? JSON.parse(answer.text) : undefined;
    };
    const list = async (path: string) => {
      const items = [];
      let cursor: string | null = "";
      while (cursor !== null) {
        const page = await get(
          `${path}?limit=3${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
        );
        items.push(...(page?.items ?? []));
        cursor = page?.nextCursor ?? null;
      }
      return items;
    };
    await get("/v1/me");
    await list("/v1/feed");
    for (const id of accountIds) {
      await get(`/v1/accounts/${id}`);
      await list(`/v1/accounts/${id}/followers`);
      await list(`/v1/accounts/${id}/following`);
      for (const card of await list(`/v1/accounts/${id}/posts`)) {
        await get(`/v1/posts/${card.id}`);
        await list(`/v1/posts/${card.id}/comments`);
        await list(`/v1/posts/${card.id}/likes`);
        for (const { mediaId } of card.media) await get(`/v1/media/${mediaId}`);
      }
    }
  }
  return answers;
}

/** Fails with the first few answers that differ. */
export function assertSameAnswers(now: Map<string, string>, before: Map<string, string>): void {
  const paths = new Set([...before.keys(), ...now.keys()]);
  const differing = [...paths].filter((path) => before.get(path) !== now.get(path));
  const shown = differing.slice(0, 3)
    .map((path) => `${path}\n  was ${before.get(path)}\n  is  ${now.get(path)}`);
  assert.equal(
    differing.length,
    0,
    `${differing.length} of ${paths.size} differ:\n${shown.join("\n")}`,
  );
}
