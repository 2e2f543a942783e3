import assert from "node:assert/strict";
import sharp from "sharp";
import { ShutterlogClient } from "../client/client.ts";
import type { Card, Media } from "../client/types.ts";
import { drawPhoto } from "../photos/photo.ts";
import { statusOf, until } from "./until.ts";

const password = "correct horse battery";

export async function newcomer(baseUrl: string, handle: string): Promise<ShutterlogClient> {
  const client = new ShutterlogClient(baseUrl);
  await client.register({ handle, password, displayName: `${handle}'s name` });
  return client;
}

export function accountId(client: ShutterlogClient): string {
  assert.ok(client.session);
  return client.session.account.id;
}

export async function download(url: string): Promise<{ bytes: Uint8Array; headers: Headers }> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return { bytes: await response.bytes(), headers: response.headers };
}

export function variantsOf(media: Media) {
  assert.equal(media.status, "ready", media.reason ?? "");
  assert.ok(media.variants);
  return media.variants;
}

/** Register, upload, post, feed, like, comment, delete: over HTTP, as a client would, whatever it runs on. */
export async function mainJob(t: Deno.TestContext, baseUrl: string): Promise<void> {
  const ada = await newcomer(baseUrl, "Ada");
  const bob = await newcomer(baseUrl, "bob");
  const photo = await drawPhoto({ seed: 1, format: "4:3" });
  let mediaId = "";
  let variantUrl = "";
  let card: Card | undefined;

  await t.step("a follow is seen from both sides", async () => {
    await bob.follow(accountId(ada));
    const seen = await bob.account("ada", { await: true });
    assert.deepEqual([seen.id, seen.handle, seen.displayName], [
      accountId(ada),
      "Ada",
      "Ada's name",
    ]);
    assert.deepEqual(seen.viewer, { following: true, blocking: false });
    assert.equal(seen.followerCount, 1);
    assert.deepEqual(await bob.feed({ await: true }), { items: [], nextCursor: null });
  });

  await t.step("a photo goes straight to the store and becomes three variants", async () => {
    const signed = await ada.signUpload({
      contentType: photo.contentType,
      byteLength: photo.bytes.length,
    });
    mediaId = signed.mediaId;
    assert.ok(Date.parse(signed.upload.expiresAt) > Date.now());
    await ada.put(signed, photo.bytes);
    assert.equal((await ada.complete(mediaId)).status, "processing");
    const media = await ada.waitForMedia(mediaId);
    const variants = variantsOf(media);
    assert.deepEqual([media.width, media.height], [photo.width, photo.height]);
    assert.deepEqual(
      Object.values(variants).map(({ width, height }) => [width, height]),
      [[150, 150], [600, 450], [1080, 810]],
    );
    variantUrl = variants.medium.url;
    for (const variant of Object.values(variants)) {
      const { bytes, headers } = await download(variant.url);
      assert.equal(bytes.length, variant.byteLength);
      assert.equal(headers.get("content-type"), variant.contentType);
      assert.equal(headers.get("cache-control"), "public, max-age=31536000, immutable");
      const { width, height, format } = await sharp(bytes).metadata();
      assert.deepEqual([width, height, `image/${format}`], [
        variant.width,
        variant.height,
        variant.contentType,
      ]);
    }
  });

  await t.step("the original is not served, not even where it was put", async () => {
    const signed = await ada.signUpload({ contentType: "image/jpeg", byteLength: 10 });
    const key = new URL(signed.upload.url).pathname.replace(signed.mediaId, mediaId);
    const places = [
      signed.upload.url,
      baseUrl + key,
      variantUrl.replace(/\/variants\/.*/, `/originals/${accountId(ada)}/${mediaId}`),
    ];
    for (const place of places) {
      const status = await statusOf(place);
      assert.ok([403, 404].includes(status), `${status} ${place}`);
    }
  });

  await t.step("a post is in its follower's feed, once", async () => {
    const { postId } = await ada.createPost({
      mediaIds: [mediaId],
      caption: "Dawn — 夜明け",
      altTexts: { [mediaId]: photo.description },
    });
    bob.positions.keep(ada.positions.header ?? null);
    const { items, nextCursor } = await bob.feed({ await: true });
    assert.equal(bob.lastAnswer?.headers.get("Position-Reached"), "true");
    assert.equal(nextCursor, null);
    assert.deepEqual(items.map(({ id }) => id), [postId]);
    card = items[0];
    assert.ok(card);
    assert.equal(card.caption, "Dawn — 夜明け");
    assert.equal(card.author.handle, "Ada");
    assert.equal(card.media[0]?.altText, photo.description);
    assert.equal(card.media[0]?.status, "ready");
    assert.deepEqual([card.likeCount, card.commentCount, card.viewer.liked], [0, 0, false]);
    assert.deepEqual(await bob.post(postId), card);
    assert.deepEqual((await bob.accountPosts(accountId(ada))).items, [card]);
  });

  await t.step("likes and comments are counted and listed", async () => {
    assert.ok(card);
    await bob.like(card.id);
    await bob.like(card.id);
    const { commentId } = await bob.comment(card.id, "  Lovely light!  ");
    const liked = await bob.post(card.id, { await: true });
    assert.deepEqual([liked.likeCount, liked.commentCount, liked.viewer.liked], [1, 1, true]);
    assert.deepEqual((await bob.likes(card.id)).items.map(({ handle }) => handle), ["bob"]);
    const [comment] = (await bob.comments(card.id)).items;
    assert.deepEqual([comment?.id, comment?.text, comment?.author.handle], [
      commentId,
      "Lovely light!",
      "bob",
    ]);
    await bob.unlike(card.id);
    await bob.deleteComment(card.id, commentId);
    const after = await bob.post(card.id, { await: true });
    assert.deepEqual([after.likeCount, after.commentCount, after.viewer.liked], [0, 0, false]);
  });

  await t.step("a deleted post is gone from feed, profile and edge", async () => {
    assert.ok(card);
    const urls = Object.values(variantsOf(card.media[0] as Media)).map(({ url }) => url);
    await ada.deletePost(card.id);
    bob.positions.keep(ada.positions.header ?? null);
    assert.deepEqual(await bob.feed({ await: true }), { items: [], nextCursor: null });
    assert.equal((await bob.request("GET", `/v1/posts/${card.id}`)).status, 404);
    assert.equal((await bob.account("ada")).postCount, 0);
    for (const url of urls) {
      await until(`${url} is gone`, async () => await statusOf(url) === 404);
    }
    await until("the medium is gone", async () => {
      return (await ada.request("GET", `/v1/media/${mediaId}`)).status === 404;
    });
  });
}
