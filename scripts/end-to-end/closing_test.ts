import assert from "node:assert/strict";
import { ShutterlogClient } from "../client/client.ts";
import { drawPhoto } from "../photos/photo.ts";
import { freePort, startServer, withDataDir, withServer } from "./server.ts";
import { statusOf, until } from "./until.ts";

const password = "correct horse battery";
const secret = "Only between us: xyzzy-plugh";

async function newcomer(baseUrl: string, handle: string) {
  const client = new ShutterlogClient(baseUrl);
  const { account } = await client.register({ handle, password });
  return { client, id: account.id };
}

async function photograph(client: ShutterlogClient, seed: number): Promise<string> {
  const { bytes } = await drawPhoto({ seed, size: { width: 700, height: 500 } });
  const mediaId = await client.upload("image/jpeg", bytes);
  await client.waitForMedia(mediaId);
  return mediaId;
}

async function filesBelow(folder: string, part: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) found.push(...await filesBelow(path, part));
    else if (path.includes(part)) found.push(path);
  }
  return found;
}

Deno.test("closing an account ends everything it left, also when killed at once", async () => {
  await withDataDir(async (dataDir) => {
    const env = { PORT: freePort() };
    let server = await startServer({ dataDir, env });
    try {
      const ada = await newcomer(server.baseUrl, "ada");
      const bob = await newcomer(server.baseUrl, "bob");
      await ada.client.follow(bob.id);
      await bob.client.follow(ada.id);
      const [posted, kept] = [await photograph(ada.client, 1), await photograph(ada.client, 2)];
      await ada.client.createPost({
        mediaIds: [posted],
        caption: secret,
        altTexts: { [posted]: secret },
      });
      const { postId } = await bob.client.createPost({
        mediaIds: [await photograph(bob.client, 3)],
      });
      await ada.client.post(postId, { await: bob.client.positions.header ?? false });
      await ada.client.like(postId);
      await ada.client.comment(postId, secret);
      await ada.client.updateMe({ bio: secret });
      bob.client.positions.keep(ada.client.positions.header ?? null);
      const before = await bob.client.post(postId, { await: true });
      assert.deepEqual([before.likeCount, before.commentCount], [1, 1]);
      assert.equal((await bob.client.feed({ await: true })).items[0]?.caption, secret);
      const urls = [posted, kept].map(async (id) =>
        Object.values((await ada.client.media(id)).variants ?? {}).map(({ url }) => url)
      );
      const variants = (await Promise.all(urls)).flat();
      assert.deepEqual(await Promise.all(variants.map(statusOf)), Array(6).fill(200));

      const wrong = await ada.client.request("DELETE", "/v1/me", {
        body: { password: "not mine" },
      });
      assert.equal(wrong.status, 401);
      await ada.client.closeAccount(password);
      await server.kill();
      server = await startServer({ dataDir, env });

      assert.equal((await bob.client.request("GET", `/v1/accounts/${ada.id}`)).status, 404);
      assert.equal((await bob.client.request("GET", "/v1/accounts/ada")).status, 404);
      assert.deepEqual((await bob.client.feed()).items, []);
      await until("likes, comments and follows are ended", async () => {
        const { likeCount, commentCount } = await bob.client.post(postId);
        const { followerCount, followingCount } = await bob.client.account(bob.id);
        return likeCount + commentCount + followerCount + followingCount === 0;
      });
      await until("no object of hers is left", async () => {
        const objects = `${dataDir}/objects`;
        const left = [ada.id, posted, kept].map((part) => filesBelow(objects, part));
        return (await Promise.all(left)).flat().length === 0;
      });
      assert.deepEqual(await Promise.all(variants.map(statusOf)), Array(6).fill(404));

      const session = await ada.client.request("GET", "/v1/me");
      assert.equal(session.status, 401, "her token is refused");
      const signIn = await bob.client.request("POST", "/v1/sessions", {
        body: { handle: "ada", password },
      });
      assert.equal(signIn.status, 401);
      const again = await bob.client.request("POST", "/v1/accounts", {
        body: { handle: "Ada", password },
      });
      assert.equal(again.status, 409, "her handle stays taken");
    } finally {
      await server.stop();
    }
    // Sealed from the first: her words are in no file, log included, now that the key is gone.
    for (const path of await filesBelow(dataDir, "/")) {
      const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
      assert.ok(!path.includes("/log/") || !text.includes(secret), `${path} holds her words`);
    }
  });
});

Deno.test("a photograph stays as long as another post or the avatar shows it", async () => {
  await withServer(async ({ baseUrl }) => {
    const { client } = await newcomer(baseUrl, "ada");
    const mediaId = await photograph(client, 4);
    const url = (await client.media(mediaId)).variants?.large.url ?? "";
    const post = async () => (await client.createPost({ mediaIds: [mediaId] })).postId;
    const [first, second, marker] = [await post(), await post(), await photograph(client, 5)];
    const markerUrl = (await client.media(marker)).variants?.large.url ?? "";

    /** Deletes a post and one beside it whose photograph must go: once it has, the other was looked at. */
    const deleteAndWait = async (postId: string, beside: string, besideUrl: string) => {
      await client.post(postId, { await: true });
      await client.deletePost(postId);
      await client.deletePost(beside);
      await until("the other photograph is gone", async () => await statusOf(besideUrl) === 404);
    };
    const besideFirst = (await client.createPost({ mediaIds: [marker] })).postId;
    await deleteAndWait(first, besideFirst, markerUrl);
    assert.equal(await statusOf(url), 200, "the second post shows it");

    await client.updateMe({ avatarMediaId: mediaId });
    await client.me({ await: true });
    const another = await photograph(client, 6);
    const anotherUrl = (await client.media(another)).variants?.large.url ?? "";
    const besideSecond = (await client.createPost({ mediaIds: [another] })).postId;
    await deleteAndWait(second, besideSecond, anotherUrl);
    assert.equal(await statusOf(url), 200, "the avatar shows it");
  });
});
