import { ShutterlogClient } from "../client/client.ts";
import { ProblemError } from "../client/problem.ts";
import { Progress } from "../client/terminal.ts";
import type { Media } from "../client/types.ts";
import type { Photo } from "../photos/photo.ts";
import { Random } from "../photos/random.ts";
import { PhotoStudio } from "../photos/studio.ts";
import { mapLimited } from "./concurrency.ts";
import { caption, comment, otherHandle, people, type Person, smallWorld } from "./people.ts";

export interface FillOptions {
  readonly baseUrl: string;
  readonly accounts: number;
  readonly photos: number;
  readonly seed: number;
  readonly password: string;
  readonly signal: AbortSignal;
}

export interface Member {
  readonly client: ShutterlogClient;
  readonly id: string;
  readonly handle: string;
  readonly displayName: string;
}

export interface Filled {
  readonly members: readonly Member[];
  readonly postIds: readonly string[];
  readonly follows: number;
  readonly likes: number;
  readonly comments: number;
  readonly rejected: readonly Media[];
  /** Milliseconds from the answer to `complete` until the medium was ready, as a poll saw it. */
  readonly readyAfter: readonly number[];
}

/** Requests under way at a time. */
const concurrency = 4;

/** Fills a running instance the way its clients would: through HTTP, and nothing but. */
export async function fill(options: FillOptions): Promise<Filled> {
  const random = new Random(options.seed);
  let progress: Progress | undefined;
  const onWait = (seconds: number) => progress?.note(`the server asks to wait ${seconds} s`);
  const newClient = () =>
    new ShutterlogClient(options.baseUrl, { patience: 90, onWait, signal: options.signal });
  const phase = async <Item, Result>(
    label: string,
    items: readonly Item[],
    work: (item: Item, index: number) => Promise<Result>,
  ): Promise<Result[]> => {
    const shown = progress = new Progress(label, items.length);
    try {
      return await mapLimited(items, concurrency, async (item, index) => {
        options.signal.throwIfAborted();
        const result = await work(item, index);
        shown.step();
        return result;
      });
    } finally {
      shown.finish();
    }
  };

  const members = await phase(
    "accounts",
    people(random, options.accounts),
    (person) => register(newClient(), person, options),
  );

  const ties = smallWorld(random, members.length).flatMap(([from, to]) => {
    const [follower, followee] = [members[from], members[to]];
    return follower && followee ? [{ follower, followee }] : [];
  });
  await phase("follows", ties, ({ follower, followee }) => follower.client.follow(followee.id));

  const readyAfter: number[] = [];
  const rejected: Media[] = [];
  const studio = new PhotoStudio(2);
  const shots = Array.from({ length: options.photos }, (_, index) => ({
    author: random.pick(members),
    seed: options.seed * 100_003 + index,
  }));
  const uploads = await phase("photos", shots, async ({ author, seed }) => {
    const photo = await studio.draw({ seed });
    const mediaId = await author.client.upload(photo.contentType, photo.bytes);
    const began = performance.now();
    const media = await author.client.waitForMedia(mediaId, { everyMs: 50 });
    if (media.status === "ready") readyAfter.push(performance.now() - began);
    else rejected.push(media);
    return { author, photo, media };
  }).finally(() => studio.close());

  const ready = uploads.filter(({ media }) => media.status === "ready");
  const albums = intoAlbums(random, ready);
  const posts = await phase("posts", albums, async ({ author, photos }) => {
    const [first] = photos;
    const { postId } = await author.client.createPost({
      mediaIds: photos.map(({ media }) => media.mediaId),
      caption: first ? caption(random, first.photo) : "",
      altTexts: Object.fromEntries(
        photos.map(({ media, photo }) => [media.mediaId, photo.description]),
      ),
    });
    return { author, postId };
  });

  const others = (author: Member) => members.filter((member) => member !== author);
  const likes = posts.flatMap(({ author, postId }) => {
    const liked = random.between(0.1, 0.9);
    return others(author).filter(() => random.chance(liked)).map((fan) => ({ fan, postId }));
  });
  await phase("likes", random.shuffle(likes), ({ fan, postId }) => fan.client.like(postId));

  const remarks = posts.flatMap(({ author, postId }) =>
    random.shuffle(others(author)).slice(0, random.below(4))
      .map((writer) => ({ writer, postId, text: comment(random) }))
  );
  await phase(
    "comments",
    remarks,
    ({ writer, postId, text }) => writer.client.comment(postId, text),
  );

  return {
    members,
    postIds: posts.map(({ postId }) => postId),
    follows: ties.length,
    likes: likes.length,
    comments: remarks.length,
    rejected,
    readyAfter,
  };
}

/** Takes another handle as often as one is taken, so that a second run makes new people. */
async function register(
  client: ShutterlogClient,
  { handle, displayName, bio }: Person,
  { password }: FillOptions,
): Promise<Member> {
  // Not of the run's seed: that would try the handles of the last run again.
  const random = new Random(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
  for (let free = handle;; free = otherHandle(handle, random)) {
    try {
      const { account } = await client.register({ handle: free, password, displayName });
      await client.updateMe({ bio });
      return { client, id: account.id, handle: account.handle, displayName };
    } catch (error) {
      if (!(error instanceof ProblemError && error.code === "handle-taken")) throw error;
    }
  }
}

interface Upload {
  readonly author: Member;
  readonly photo: Photo;
  readonly media: Media;
}

/** Each author's photos in posts of one, two or three. */
function intoAlbums(
  random: Random,
  uploads: readonly Upload[],
): { author: Member; photos: Upload[] }[] {
  const albums: { author: Member; photos: Upload[] }[] = [];
  for (const [author, photos] of Map.groupBy(uploads, ({ author }) => author)) {
    while (photos.length > 0) {
      albums.push({ author, photos: photos.splice(0, random.pick([1, 1, 1, 2, 3])) });
    }
  }
  return random.shuffle(albums);
}
