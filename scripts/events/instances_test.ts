import assert from "node:assert/strict";
import { join } from "node:path";
import { foldersIn } from "../../infra/config/folders.ts";
import { keptSecrets } from "../../infra/config/secrets.ts";
import { Sessions } from "../../infra/identity/sessions.ts";
import { openSqliteIdentity } from "../../infra/identity/sqlite.ts";
import { AccessTokens } from "../../infra/identity/tokens.ts";
import { startServer } from "../end-to-end/server.ts";
import { statusOf, until } from "../end-to-end/until.ts";
import { fill } from "../demo/fill.ts";
import { events, withFolders } from "./testing.ts";

const password = "correct horse battery";
/** The same for every instance, as it would be for a copy of one. */
const env = { CDN_BASE_URL: "http://cdn.example" };

type Answers = ReadonlyMap<string, string>;

/** Everything an instance says of these accounts, posts and media, word for word. */
async function answersOf(baseUrl: string, dataDir: string, ids: Ids): Promise<Answers> {
  const { folders, identityFile } = foldersIn(dataDir);
  const { serverSecret } = await keptSecrets(folders.identity);
  const accessTokens = await AccessTokens.create({
    secrets: [Uint8Array.fromBase64(serverSecret)],
    issuer: "urn:shutterlog:embedded",
  });
  const identity = await openSqliteIdentity({ path: identityFile });
  const answers = new Map<string, string>();
  try {
    for (const reader of ids.readers) {
      const session = await new Sessions({ identity, accessTokens }).open(reader);
      const headers = { Authorization: `Bearer ${session?.accessToken}` };
      const paths = [
        "/v1/me",
        "/v1/feed?limit=100",
        "/v1/feed?limit=2",
        ...ids.accounts.flatMap((id) =>
          ["", "/posts", "/followers", "/following"].map((list) => `/v1/accounts/${id}${list}`)
        ),
        ...ids.posts.flatMap((id) =>
          ["", "/comments", "/likes"].map((list) => `/v1/posts/${id}${list}`)
        ),
        ...ids.media.map((id) => `/v1/media/${id}`),
      ];
      for (const path of paths) {
        const response = await fetch(`${baseUrl}${path}`, { headers });
        const text = await response.text();
        // A problem names the request, and so is never the same.
        answers.set(`${reader} ${path}`, response.ok ? text : String(response.status));
      }
    }
  } finally {
    await identity.closeStore();
  }
  return answers;
}

interface Ids {
  readonly readers: readonly string[];
  readonly accounts: readonly string[];
  readonly posts: readonly string[];
  readonly media: readonly string[];
}

interface ReplayedLine {
  readonly type: string;
  readonly time: string;
  readonly data: Record<string, string>;
}

function linesOf(replay: string): ReplayedLine[] {
  return replay.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

function variantsIn({ variants }: ReplayedLine["data"]) {
  return variants as unknown as Record<string, { objectKey: string }>;
}

function assertSame(answers: Answers, expected: Answers): void {
  for (const [path, text] of expected) assert.equal(answers.get(path), text, path);
  assert.equal(answers.size, expected.size);
}

/** Starts an instance on what a replay says, and gives what it answers. */
async function copied(dataDir: string, replay: string, ids: Ids, objects?: string) {
  const appended = await events(dataDir, ["append"], { input: replay });
  assert.equal(appended.code, 0, appended.told);
  if (objects) {
    const { code } = await new Deno.Command("cp", {
      args: ["-r", objects, join(dataDir, "objects")],
    }).output();
    assert.equal(code, 0);
  }
  const server = await startServer({ dataDir, env });
  try {
    return {
      answers: await answersOf(server.baseUrl, dataDir, ids),
      ...objects && { size: await imageSize(server.baseUrl, replay) },
    };
  } finally {
    await server.stop();
  }
}

/** Bytes of the first variant that has not been purged. */
async function imageSize(baseUrl: string, replay: string): Promise<number> {
  const lines = linesOf(replay);
  const purged = new Set(
    lines.filter(({ type }) => type.includes("MediaPurged")).map(({ data }) => data.mediaId),
  );
  const ready = lines.find(({ type, data }) =>
    type.includes("VariantsReady") && !purged.has(data.mediaId)
  );
  const key = variantsIn(ready?.data ?? {}).large?.objectKey;
  const answer = await fetch(`${baseUrl}/cdn/${key}`);
  assert.equal(answer.status, 200, `${key} is served`);
  return (await answer.bytes()).length;
}

Deno.test("a replay appended to an empty instance gives the same answers, word for word", async () => {
  await withFolders(3, async (original = "", copy = "", earlier = "") => {
    const server = await startServer({ dataDir: original, env });
    let expected: Answers, ids: Ids, replay: string, middle: string;
    try {
      const { baseUrl } = server;
      const filled = await fill({
        ...{ baseUrl, accounts: 6, photos: 9, seed: 3, password },
        signal: new AbortController().signal,
      });
      const [ada, bob, cyd, dan, eve] = filled.members;
      const [first = ""] = filled.postIds;
      assert.ok(ada && bob && cyd && dan && eve);
      middle = new Date().toISOString();
      await new Promise((resolve) => setTimeout(resolve, 5));
      await ada.client.comment(first, "Only for a moment");
      await bob.client.block(cyd.id);
      await dan.client.follow(bob.id);
      await dan.client.unfollow(ada.id);
      await bob.client.unlike(first);
      await ada.client.updateMe({ displayName: "Ada of Dawn", bio: "" });
      const mine = await bob.client.accountPosts(bob.id, { await: true });
      if (mine.items[0]) await bob.client.editPost(mine.items[0].id, "Said otherwise");
      await eve.client.closeAccount(password);
      await until("what she left is ended", async () => {
        const { out } = await events(original, ["replay", "--type", "AccountUnfollowed"]);
        const left = linesOf(out).map(({ data }) => data);
        return left.some(({ followerId }) => followerId === eve.id) &&
          left.some(({ followeeId }) => followeeId === eve.id);
      });
      // The second sweep, for what other edges may have taken meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 4_000));
      const replayed = await events(original, ["replay"]);
      assert.equal(replayed.code, 0, replayed.told);
      replay = replayed.out;
      const lines = linesOf(replay);
      const media = lines.filter(({ type }) => type.includes("MediaUploaded"));
      ids = {
        readers: [ada.id, bob.id, cyd.id, dan.id],
        accounts: filled.members.map(({ id }) => id),
        posts: filled.postIds,
        media: media.flatMap(({ data }) => data.mediaId ?? []),
      };
      expected = await answersOf(baseUrl, original, ids);
      const registered = lines.find(({ type, data }) =>
        type.includes("AccountRegistered") && data.accountId === eve.id
      );
      assert.equal(registered?.data.handle, null, "a closed account's text is removed");
      assert.ok(!replay.includes('"v1.'), "nothing is still sealed");
      const hers = lines.filter(({ type, data }) =>
        type.includes("VariantsReady") && data.ownerId === eve.id
      );
      assert.ok(hers.length > 0, "she had uploaded something");
      for (const { data } of hers) {
        for (const { objectKey } of Object.values(variantsIn(data))) {
          assert.equal(await statusOf(`${baseUrl}/cdn/${objectKey}`), 404);
        }
      }

      // While it runs, what it shows is what a query says it shows.
      for (const reader of ids.readers) {
        const told = await events(original, ["query", "--feed", reader, "--format", "json"]);
        const { items } = JSON.parse(expected.get(`${reader} /v1/feed?limit=100`) ?? "{}");
        assert.deepEqual(
          JSON.parse(told.out).map(({ post_id }: { post_id: string }) => post_id),
          items.map(({ id }: { id: string }) => id),
          told.told,
        );
      }
    } finally {
      await server.stop();
    }

    const twin = await copied(copy, replay, ids, join(original, "objects"));
    assertSame(twin.answers, expected);
    assert.ok((twin.size ?? 0) > 0);
    assert.equal(
      (await events(copy, ["append"], { input: replay })).code,
      2,
      "it is not empty now",
    );
    const again = await events(copy, ["append", "--force", "--json"], { input: replay });
    assert.deepEqual(JSON.parse(again.out), { appended: 0, known: linesOf(replay).length });

    // An instance that knows only what had happened then shows what --at says was shown then.
    const upTo = linesOf(replay).filter(({ time }) => time <= middle);
    const past = replay.split("\n").slice(0, upTo.length).join("\n");
    const { answers } = await copied(earlier, past, ids);
    for (const reader of ids.readers) {
      const args = ["query", "--at", middle, "--feed", reader, "--format", "json"];
      const { items } = JSON.parse(answers.get(`${reader} /v1/feed?limit=100`) ?? "{}");
      const told = await events(original, args);
      const then: { post_id: string; author: string | null }[] = JSON.parse(told.out);
      assert.deepEqual(
        // Of whoever has closed their account since, an instance shows nothing.
        then.filter(({ author }) => author !== null).map(({ post_id }) => post_id),
        items.map(({ id }: { id: string }) => id),
        told.told,
      );
    }
    const counted = await events(original, [
      ...["query", "--at", middle, "--format", "json"],
      `select post_id, caption,
         (select count(*) from likes join accounts using (account_id)
          where likes.post_id = posts.post_id) as likes,
         (select count(*) from comments where comments.post_id = posts.post_id) as comments
       from posts join accounts on account_id = author_id where handle is not null`,
    ]);
    for (const { post_id, ...post } of JSON.parse(counted.out)) {
      const [reader] = ids.readers;
      const { caption, likeCount, commentCount } = JSON.parse(
        answers.get(`${reader} /v1/posts/${post_id}`) ?? "",
      );
      assert.deepEqual(post, { caption, likes: likeCount, comments: commentCount });
    }
  });
});
