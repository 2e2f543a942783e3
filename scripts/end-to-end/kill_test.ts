import assert from "node:assert/strict";
import { ShutterlogClient } from "../client/client.ts";
import { ProblemError, ServerUnreachable } from "../client/problem.ts";
import { drawPhoto } from "../photos/photo.ts";
import { Random } from "../photos/random.ts";
import { freePort, type RunningServer, startServer, withDataDir } from "./server.ts";

const rounds = 20;
const password = "correct horse battery";

/** What the server has promised, and what it may or may not have done when it was killed. */
class Author {
  readonly acknowledgedPosts = new Set<string>();
  readonly acknowledgedUploads = new Set<string>();
  readonly liked = new Set<string>();
  readonly comments = new Map<string, string>();
  /** A post whose answer never came: its caption and key, to be sent again after the restart. */
  unanswered: { mediaIds: string[]; caption: string; key: string } | undefined;
  #count = 0;

  constructor(readonly client: ShutterlogClient, readonly accountId: string) {}

  /** Uploads, posts, likes and comments until the server is gone. */
  async work(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    try {
      while (true) {
        const mediaId = await this.client.upload("image/jpeg", bytes);
        this.acknowledgedUploads.add(mediaId);
        for (let n = 0; n < 3; n++) {
          await this.#post([mediaId], `${this.accountId} ${this.#count++}`, crypto.randomUUID());
        }
        const [post = ""] = this.acknowledgedPosts;
        await this.client.like(post);
        this.liked.add(post);
        const text = `comment ${this.#count++}`;
        const { commentId } = await this.client.comment(post, text);
        this.comments.set(commentId, post);
      }
    } catch (error) {
      if (!(error instanceof ServerUnreachable || error instanceof ProblemError)) throw error;
      if (error instanceof ProblemError && error.status < 500) throw error;
    }
  }

  /** After a restart: what was not answered is sent again, under the same key. */
  async retry(): Promise<void> {
    if (!this.unanswered) return;
    const { mediaIds, caption, key } = this.unanswered;
    await this.#post(mediaIds, caption, key);
  }

  async #post(mediaIds: string[], caption: string, key: string): Promise<void> {
    this.unanswered = { mediaIds, caption, key };
    const { postId } = await this.client.createPost({ mediaIds, caption }, { idempotencyKey: key });
    this.acknowledgedPosts.add(postId);
    this.unanswered = undefined;
  }
}

Deno.test(`kill -9 during uploads and posts, ${rounds} times: nothing acknowledged is lost or doubled`, async () => {
  const seed = Math.trunc(Math.random() * 2 ** 31);
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  await withDataDir(async (dataDir) => {
    const env = { PORT: freePort() };
    const { bytes } = await drawPhoto({ seed: 3, size: { width: 1200, height: 900 } });
    let server: RunningServer = await startServer({ dataDir, env });
    try {
      const join = async (handle: string) => {
        const client = new ShutterlogClient(server.baseUrl);
        const { account } = await client.register({ handle, password });
        return new Author(client, account.id);
      };
      const reader = await join("reader");
      const authors = await Promise.all(["ada", "bob", "cyd"].map(join));
      for (const { accountId } of authors) await reader.client.follow(accountId);

      for (let round = 0; round < rounds; round++) {
        const working = authors.map((author) => author.work(bytes));
        const reading = readOn(reader.client);
        await new Promise((resolve) => setTimeout(resolve, random.between(100, 1500)));
        await server.kill();
        await Promise.all([...working, reading]);
        server = await startServer({ dataDir, env });
        await Promise.all(authors.map((author) => author.retry()));
      }
      for (const author of authors) await assertKept(author, reader.client);
      await assertFeed(reader.client, authors);
    } catch (error) {
      console.error(`The server wrote:\n${server.output()}`);
      throw error;
    } finally {
      await server.stop();
    }
  });
});

/** Keeps the reader's feed in the cache while authors post, so that pushes and fills are cut off too. */
async function readOn(reader: ShutterlogClient): Promise<void> {
  try {
    while (true) {
      await reader.feed();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  } catch (error) {
    if (!(error instanceof ServerUnreachable || error instanceof ProblemError)) throw error;
  }
}

async function assertKept(author: Author, reader: ShutterlogClient): Promise<void> {
  reader.positions.keep(author.client.positions.header ?? null);
  await reader.account(author.accountId, { await: true });
  assert.equal(reader.lastAnswer?.headers.get("Position-Reached"), "true");

  const posts = await postsOf(author.accountId, reader);
  const ids = posts.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length, "a post is listed twice");
  const captions = posts.map(({ caption }) => caption);
  assert.equal(new Set(captions).size, captions.length, "a retried post was made twice");
  for (const id of author.acknowledgedPosts) assert.ok(ids.includes(id), `post ${id} is lost`);
  assert.equal((await reader.account(author.accountId)).postCount, posts.length);

  for (const mediaId of author.acknowledgedUploads) {
    const { status } = await author.client.waitForMedia(mediaId, { timeoutSeconds: 120 });
    assert.equal(status, "ready");
  }
  for (const post of author.liked) {
    assert.equal((await author.client.post(post)).viewer.liked, true);
  }
  for (const [commentId, post] of author.comments) {
    const { items } = await author.client.comments(post, { limit: 100 });
    assert.equal(items.filter(({ id }) => id === commentId).length, 1, `comment ${commentId}`);
  }
}

async function postsOf(accountId: string, reader: ShutterlogClient) {
  const posts = [];
  let cursor: string | undefined;
  do {
    const page = await reader.accountPosts(accountId, { limit: 50, ...(cursor && { cursor }) });
    posts.push(...page.items);
    cursor = page.nextCursor ?? undefined;
  } while (cursor);
  return posts;
}

/** The feed is what the authors have posted, newest first, each once: no hole, no double. */
async function assertFeed(reader: ShutterlogClient, authors: readonly Author[]): Promise<void> {
  const posted = [];
  for (const { accountId } of authors) posted.push(...await postsOf(accountId, reader));
  const shown = [];
  for await (const { items } of reader.feedPages({ await: true, limit: 7 })) shown.push(...items);
  const expected = posted.map(({ id }) => id).sort().reverse();
  assert.deepEqual(shown.map(({ id }) => id), expected);
  console.log(`${expected.length} posts in the feed after ${rounds} kills`);
}
