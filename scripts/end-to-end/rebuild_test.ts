import assert from "node:assert/strict";
import { ShutterlogClient } from "../client/client.ts";
import { drawPhoto } from "../photos/photo.ts";
import { assertSameAnswers, everyAnswer } from "./answers.ts";
import { freePort, startServer, withDataDir } from "./server.ts";
import { until } from "./until.ts";

const password = "correct horse battery";
const irreplaceable = new Set(["log", "identity", "objects"]);

Deno.test("everything but the log, the identity store and the objects can be deleted", async () => {
  await withDataDir(async (dataDir) => {
    const env = { PORT: freePort() };
    let server = await startServer({ dataDir, env });
    try {
      const people = await Promise.all(["ada", "bob", "cyd", "dan"].map(async (handle) => {
        const person = new ShutterlogClient(server.baseUrl);
        await person.register({ handle, password });
        return person;
      }));
      const ids = people.map((person) => person.session?.account.id ?? "");
      const [ada, bob, cyd, dan] = people;
      assert.ok(ada && bob && cyd && dan);
      await populate(people, ids);

      for (const person of people) ada.positions.keep(person.positions.header ?? null);
      await until("all that was done is in ada's feed", async () => {
        await ada.feed({ await: true });
        return ada.lastAnswer?.headers.get("Position-Reached") === "true";
      });
      // What dan left behind is ended by events that follow his closing; they are in when his likes are.
      const [adaId = "", bobId = ""] = ids;
      await until("dan's traces are ended", async () => {
        const posts = (await ada.accountPosts(adaId)).items;
        const { followerCount } = await ada.account(bobId);
        return followerCount === 2 && posts.every(({ likeCount }) => likeCount <= 3);
      });
      const viewers = [ada, bob, cyd, new ShutterlogClient(server.baseUrl)];
      const before = await everyAnswer(viewers, ids);
      assert.ok(before.size > 100, `${before.size} answers`);
      assert.equal(await server.stop(), 0);

      const removed = [];
      for await (const { name } of Deno.readDir(dataDir)) {
        if (irreplaceable.has(name)) continue;
        await Deno.remove(`${dataDir}/${name}`, { recursive: true });
        removed.push(name);
      }
      assert.ok(removed.length > 0);

      server = await startServer({ dataDir, env });
      assertSameAnswers(await everyAnswer(viewers, ids), before);
    } finally {
      await server.stop();
    }
  });
});

/** Photographs, posts, follows, likes, comments, edits, deletions, a block and a closed account. */
async function populate(people: ShutterlogClient[], ids: string[]): Promise<void> {
  const [ada, bob, cyd, dan] = people;
  assert.ok(ada && bob && cyd && dan);
  for (const person of people) {
    for (const id of ids) if (id !== person.session?.account.id) await person.follow(id);
  }
  const posts: string[] = [];
  for (const [n, person] of people.entries()) {
    const photo = await drawPhoto({ seed: n, size: { width: 700, height: 500 } });
    const mediaId = await person.upload(photo.contentType, photo.bytes);
    await person.waitForMedia(mediaId);
    for (let k = 0; k < 5; k++) {
      const post = { mediaIds: [mediaId], caption: `${n}.${k}`, altTexts: { [mediaId]: "drawn" } };
      posts.push((await person.createPost(post)).postId);
    }
    await person.updateMe({ bio: `number ${n}`, avatarMediaId: n % 2 === 0 ? mediaId : null });
  }
  for (const person of people) {
    for (const [n, post] of posts.entries()) {
      if (n % 2 === 0) await person.like(post);
      if (n % 3 === 0) await person.comment(post, `on ${n}`);
    }
  }
  const { commentId } = await bob.comment(posts[0] ?? "", "a slip");
  await ada.deleteComment(posts[0] ?? "", commentId);
  await ada.unlike(posts[2] ?? "");
  await ada.editPost(posts[1] ?? "", "edited");
  await bob.deletePost(posts[6] ?? "");
  const broken = await cyd.upload("image/jpeg", new TextEncoder().encode("not a photograph"));
  assert.equal((await cyd.waitForMedia(broken)).status, "rejected");
  await cyd.createPost({ mediaIds: [broken], caption: "never to be seen" });
  await cyd.block(ids[0] ?? "");
  await dan.closeAccount(password);
}
