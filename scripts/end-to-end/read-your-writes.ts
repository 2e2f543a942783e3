import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { ShutterlogClient } from "../client/client.ts";
import { accountId, newcomer } from "./main-job.ts";

/** Milliseconds between two writes. */
const pause = 50;
/** Milliseconds within which a write must have been reached, on however busy a machine. */
const usualLag = 5_000;

/**
 * One who writes and two who look at once, each look with the write's `Position`: an answer that says it
 * was reached must show the write. One that says it was not, as it does after two seconds, is asked for
 * again. One kind of write after the other, for as long as it goes on.
 */
export class ReadYourWrites {
  /** Pairs of a write and a look. */
  pairs = 0;
  #rounds = 0;
  /** Milliseconds until the position that was waited for longest was reached. */
  longest = 0;

  private constructor(
    readonly writer: ShutterlogClient,
    readonly reader: ShutterlogClient,
    readonly mediaId: string,
  ) {}

  static async prepare(baseUrl: string, photo: Uint8Array<ArrayBuffer>): Promise<ReadYourWrites> {
    const [writer, reader] = await Promise.all(
      ["eve", "fay"].map((name) => newcomer(baseUrl, `${name}_${crypto.randomUUID().slice(0, 8)}`)),
    );
    assert.ok(writer && reader);
    const mediaId = await writer.upload("image/jpeg", photo);
    await writer.waitForMedia(mediaId);
    await reader.follow(accountId(writer));
    await reader.feed({ await: true });
    return new ReadYourWrites(writer, reader, mediaId);
  }

  async until(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.round();
  }

  /** Each kind of write once. */
  async round(): Promise<void> {
    const { writer, reader, mediaId } = this;
    const caption = `round ${this.#rounds++}`;
    const { postId } = await writer.createPost({ mediaIds: [mediaId], caption });
    reader.positions.keep(writer.positions.header ?? null);
    const { items } = await this.#look(reader, () => reader.feed({ await: true }));
    assert.equal(items[0]?.id, postId, "a post is not in its follower's feed");
    assert.equal(items[0].caption, caption);

    await reader.like(postId);
    const liked = await this.#look(reader, () => reader.post(postId, { await: true }));
    assert.deepEqual([liked.likeCount, liked.viewer.liked], [1, true], "a like is not shown");

    await reader.comment(postId, caption);
    const commented = await this.#look(reader, () => reader.post(postId, { await: true }));
    assert.equal(commented.commentCount, 1, "a comment is not counted");
    const { items: comments } = await reader.comments(postId);
    assert.equal(comments[0]?.text, caption, "a comment is not listed");

    await writer.editPost(postId, `${caption}, edited`);
    reader.positions.keep(writer.positions.header ?? null);
    const edited = await this.#look(reader, () => reader.feed({ await: true }));
    assert.equal(edited.items[0]?.caption, `${caption}, edited`, "the old caption is shown");

    const followed = this.#rounds % 2 === 1;
    await (followed ? writer.follow(accountId(reader)) : writer.unfollow(accountId(reader)));
    const seen = await this.#look(writer, () => writer.account(accountId(reader), { await: true }));
    assert.equal(seen.viewer.following, followed, "a follow is not shown");
  }

  async #look<T>(client: ShutterlogClient, read: () => Promise<T>): Promise<T> {
    const asked = performance.now();
    for (;;) {
      const answer = await read();
      const waited = performance.now() - asked;
      const reached = client.lastAnswer?.headers.get("Position-Reached");
      if (reached === "true") {
        this.longest = Math.max(this.longest, waited);
        this.pairs++;
        await delay(pause);
        return answer;
      }
      assert.equal(reached, "false", "the answer does not say whether it waited for the write");
      assert.ok(waited < usualLag, `a write was not reached within ${Math.round(waited)} ms`);
    }
  }
}
