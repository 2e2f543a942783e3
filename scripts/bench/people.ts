import { ShutterlogClient } from "../client/client.ts";
import { mapLimited } from "../demo/concurrency.ts";
import { drawPhoto } from "../photos/photo.ts";

/** One who reads, and is read by the one before. */
export interface Reader {
  readonly accountId: string;
  readonly token: string;
  /** In their feed, newest first. */
  readonly postIds: readonly string[];
}

/** More than a page of 20. */
const postsEach = 25;
const concurrency = 4;
const password = "correct horse battery staple";

/**
 * People of whom each posts 25 photographs and follows the next: so every feed has cards of its own.
 * Each has one photograph, which all of their posts show.
 */
export async function people(
  commandsUrl: string,
  queriesUrl: string,
  count: number,
): Promise<Reader[]> {
  const clients = Array.from(
    { length: count },
    () => new ShutterlogClient(commandsUrl, { patience: 60 }),
  );
  const run = crypto.randomUUID().slice(0, 8);
  const members = await mapLimited(clients, concurrency, async (client, nth) => {
    const { account, accessToken } = await client.register({
      handle: `bench.${run}.${nth}`,
      password,
      displayName: `Reader ${nth}`,
    });
    const photo = await drawPhoto({ seed: nth, size: { width: 1200, height: 900 } });
    const mediaId = await client.upload(photo.contentType, photo.bytes);
    const reading = new ShutterlogClient(queriesUrl, { patience: 60 });
    reading.session = client.session;
    reading.positions.keep(client.positions.header ?? null);
    await reading.waitForMedia(mediaId);
    const postIds: string[] = [];
    for (let post = 0; post < postsEach; post++) {
      const { postId } = await client.createPost({
        mediaIds: [mediaId],
        caption: "Five minutes later it was gone, and so were we: down the long way round.",
        altTexts: { [mediaId]: photo.description },
      });
      postIds.unshift(postId);
    }
    return { client, reading, accountId: account.id, token: accessToken, postIds };
  });
  return await mapLimited(
    members,
    concurrency,
    async ({ client, reading, accountId, token }, nth) => {
      const next = members[(nth + 1) % count];
      if (!next) throw new Error("nobody to follow");
      await client.follow(next.accountId);
      reading.positions.keep(client.positions.header ?? null);
      await reading.feed({ await: true });
      return { accountId, token, postIds: next.postIds };
    },
  );
}
