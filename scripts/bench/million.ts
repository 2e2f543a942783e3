import { v7 } from "uuid";
import type { DomainEvent } from "../../domain/events.ts";
import { originalKey, variantNames, variantPrefix, variantWidths } from "../../domain/media.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import type { EventLog } from "../../infra/event-log/port.ts";
import { dummyHash } from "../../infra/identity/passwords.ts";
import type { Identity } from "../../infra/identity/port.ts";
import { AccountSealer } from "../../infra/identity/sealing.ts";
import { Random } from "../photos/random.ts";

export interface Synthetic {
  readonly seed: number;
  readonly count: number;
  /** When the first event happened, 2026-09-01 when left out; the last does `days` later. */
  readonly from?: Date;
  /** 60 when left out. */
  readonly days?: number;
}

/** Of the things people do, how often each is done. Media become variants, and posts, by themselves. */
const habits = {
  register: 25,
  changeProfile: 12,
  follow: 200,
  unfollow: 15,
  block: 2,
  unblock: 1,
  upload: 60,
  changeCaption: 5,
  deletePost: 3,
  like: 450,
  unlike: 30,
  comment: 110,
  deleteComment: 5,
  close: 0.3,
};

/** Of those who register, how many will close their account one day. */
const leaving = 0.02;

interface Person {
  readonly id: string;
  /** What is to be ended when the account closes; of those alone who will. */
  readonly traces?: ((end: End) => void)[];
  closed?: true;
}

interface Post {
  readonly id: string;
  readonly author: Person;
  readonly mediaId: string;
  deleted?: true;
}

type End = (type: DomainEvent["type"], data: unknown) => void;

/**
 * A log such as a grown instance has, drawn from a seed: the same one gives the same events. They
 * come in the order of their times, obey the deciders' rules, and a few authors and posts have most of
 * the followers and likes.
 */
export function* syntheticEvents(options: Synthetic): Iterable<DomainEvent> {
  const { seed, count, from = new Date("2026-09-01T00:00:00Z"), days = 60 } = options;
  const society = new Society(new Random(seed));
  const step = (days * 86_400_000) / count;
  for (let made = 0, now = from.getTime(); made < count; now += step) {
    for (const event of society.live(now)) {
      yield event;
      if (++made === count) return;
    }
  }
}

class Society {
  readonly #random: Random;
  readonly #total = Object.values(habits).reduce((sum, weight) => sum + weight, 0);
  readonly #people: Person[] = [];
  readonly #leaving: Person[] = [];
  readonly #posts: Post[] = [];
  /** The last of each kind, to be taken back. */
  readonly #follows = new Recent<readonly [Person, Person]>();
  readonly #blocks = new Recent<readonly [Person, Person]>();
  readonly #likes = new Recent<readonly [Post, Person]>();
  readonly #comments = new Recent<readonly [Post, string, Person]>();
  /** What has begun and happens later, the soonest first. */
  readonly #later: { readonly at: number; readonly happen: () => void }[] = [];
  #registered = 0;
  #now = 0;
  #events: DomainEvent[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** What happens up to a moment, milliseconds since the epoch. */
  live(now: number): DomainEvent[] {
    this.#events = [];
    while ((this.#later[0]?.at ?? Infinity) <= now) {
      const next = this.#later.shift();
      this.#now = Math.max(this.#now, next?.at ?? 0);
      next?.happen();
    }
    this.#now = Math.max(this.#now, now);
    if (this.#people.length < 20) this.#register();
    else this.#act(this.#habit());
    return this.#events;
  }

  #habit(): keyof typeof habits {
    let drawn = this.#random.next() * this.#total;
    for (const [habit, weight] of Object.entries(habits)) {
      drawn -= weight;
      if (drawn < 0) return habit as keyof typeof habits;
    }
    return "like";
  }

  #act(habit: keyof typeof habits): void {
    switch (habit) {
      case "register":
        return this.#register();
      case "changeProfile":
        return this.#say("ProfileChanged", {
          accountId: this.#person().id,
          ...(this.#random.chance(0.5) ? { bio: this.#text(12) } : { displayName: this.#text(2) }),
        });
      case "follow":
      case "block":
        return this.#relate(habit, this.#person(), this.#known());
      case "unfollow":
        return this.#unrelate(this.#follows, "AccountUnfollowed");
      case "unblock":
        return this.#unrelate(this.#blocks, "AccountUnblocked");
      case "upload":
        return this.#upload(this.#person());
      case "changeCaption": {
        const post = this.#post();
        if (!post) return;
        const { id: postId, author } = post;
        const caption = this.#text(10);
        return this.#say("CaptionChanged", { postId, authorId: author.id, caption });
      }
      case "deletePost": {
        const post = this.#post();
        return post && this.#delete(post, "author");
      }
      case "like":
        return this.#like();
      case "unlike": {
        const like = this.#likes.take(this.#random);
        if (!like || like[0].deleted) return;
        return this.#say("PostUnliked", { postId: like[0].id, accountId: like[1].id });
      }
      case "comment":
        return this.#comment();
      case "deleteComment": {
        const [post, commentId, author] = this.#comments.take(this.#random) ?? [];
        if (!post || post.deleted) return;
        return this.#say("CommentDeleted", { postId: post.id, commentId, deletedBy: author?.id });
      }
      case "close":
        return this.#close();
    }
  }

  #register(): void {
    const id = this.#id();
    const stays = !this.#random.chance(leaving);
    const person: Person = stays ? { id } : { id, traces: [] };
    this.#people.push(person);
    if (!stays) this.#leaving.push(person);
    const handle = `${this.#random.pick(words)}.${(++this.#registered).toString(36)}`;
    this.#say("AccountRegistered", { accountId: id, handle, displayName: this.#text(2) });
  }

  #relate(how: "follow" | "block", actor: Person, target: Person): void {
    if (actor === target) return;
    if (how === "block") {
      this.#blocks.keep([actor, target]);
      return this.#say("AccountBlocked", { blockerId: actor.id, blockedId: target.id });
    }
    const data = { followerId: actor.id, followeeId: target.id };
    this.#follows.keep([actor, target]);
    this.#say("AccountFollowed", data);
    for (const { traces } of [actor, target]) traces?.push((end) => end("AccountUnfollowed", data));
  }

  #unrelate(
    relations: Recent<readonly [Person, Person]>,
    type: "AccountUnfollowed" | "AccountUnblocked",
  ): void {
    const [actor, target] = relations.take(this.#random) ?? [];
    if (!actor || !target) return;
    const [left, right] = type === "AccountUnfollowed"
      ? ["followerId", "followeeId"]
      : ["blockerId", "blockedId"];
    this.#say(type, { [left ?? ""]: actor.id, [right ?? ""]: target.id });
  }

  /** Two of a hundred uploads are no photographs; nine of ten of the others are posted. */
  #upload(owner: Person): void {
    const mediaId = this.#id();
    const ownerId = owner.id;
    const byteLength = Math.round(this.#random.between(200_000, 8_000_000));
    const objectKey = originalKey(ownerId, mediaId);
    this.#say("MediaUploaded", {
      ...{ mediaId, ownerId, objectKey, byteLength },
      contentType: "image/jpeg",
    });
    // Log-normal: mostly half a second, now and then many.
    const resized = 500 * Math.exp(this.#gaussian());
    if (this.#random.chance(0.02)) {
      const detail = "This file is not a photograph we can read.";
      return this.#after(
        resized,
        () => this.#say("MediaRejected", { mediaId, ownerId, reason: "not-an-image", detail }),
      );
    }
    this.#after(resized, () => this.#say("VariantsReady", this.#variants(mediaId, ownerId)));
    if (this.#random.chance(0.9)) {
      this.#after(
        resized + this.#random.between(1_000, 120_000),
        () => this.#publish(owner, mediaId),
      );
    }
  }

  #publish(author: Person, mediaId: string): void {
    if (author.closed) return;
    const post: Post = { id: this.#id(), author, mediaId };
    this.#posts.push(post);
    const altTexts = this.#random.chance(0.3) ? { [mediaId]: this.#text(6) } : {};
    this.#say("PostCreated", {
      ...{ postId: post.id, authorId: author.id, mediaIds: [mediaId], altTexts },
      caption: this.#random.chance(0.8) ? this.#text(14) : "",
    });
    author.traces?.push(() => post.deleted || this.#delete(post, "account-closed"));
  }

  #delete(post: Post, cause: "author" | "account-closed"): void {
    post.deleted = true;
    const { id: postId, author, mediaId } = post;
    this.#say("PostDeleted", { postId, authorId: author.id, cause });
    const purged = cause === "author" ? "post-deleted" : cause;
    this.#after(
      2_000,
      () => this.#say("MediaPurged", { mediaId, ownerId: author.id, cause: purged }),
    );
  }

  #like(): void {
    const post = this.#post();
    if (!post) return;
    const person = this.#person();
    const data = { postId: post.id, accountId: person.id };
    this.#likes.keep([post, person]);
    this.#say("PostLiked", data);
    person.traces?.push((end) => post.deleted || end("PostUnliked", data));
  }

  #comment(): void {
    const post = this.#post();
    if (!post) return;
    const author = this.#person();
    const { id: authorId } = author;
    const [postId, commentId] = [post.id, this.#id()];
    this.#comments.keep([post, commentId, author]);
    this.#say("CommentAdded", { postId, commentId, authorId, text: this.#text(9) });
    author.traces?.push((end) =>
      post.deleted || end("CommentDeleted", { postId, commentId, deletedBy: authorId })
    );
  }

  /** Whatever is known of the account is ended after it, as by the reactor. */
  #close(): void {
    const person = this.#leaving.splice(this.#random.below(this.#leaving.length), 1)[0];
    if (!person) return;
    person.closed = true;
    this.#people.splice(this.#people.indexOf(person), 1);
    this.#say("AccountClosed", { accountId: person.id });
    for (const trace of person.traces ?? []) trace((type, data) => this.#say(type, data));
    for (const recent of [this.#follows, this.#blocks, this.#likes, this.#comments]) {
      recent.forget((kept) => (kept as readonly unknown[]).includes(person));
    }
  }

  #say(type: DomainEvent["type"], data: unknown): void {
    const time = new Date(this.#now).toISOString();
    this.#events.push({ id: this.#id(), type, time, data } as DomainEvent);
  }

  #after(milliseconds: number, happen: () => void): void {
    const at = this.#now + milliseconds;
    const before = this.#later.findLastIndex((one) => one.at <= at);
    this.#later.splice(before + 1, 0, { at, happen });
  }

  #person(): Person {
    return this.#random.pick(this.#people);
  }

  /** The longer somebody is there, the better known. */
  #known(): Person {
    return this.#people[Math.floor(this.#people.length * this.#random.next() ** 3)] ??
      this.#person();
  }

  /** The newer a post, the more is done to it. */
  #post(): Post | undefined {
    const back = Math.floor(this.#posts.length * this.#random.next() ** 4);
    const post = this.#posts[this.#posts.length - 1 - back];
    return post?.deleted ? undefined : post;
  }

  #text(words_: number): string {
    return Array.from({ length: words_ }, () => this.#random.pick(words)).join(" ");
  }

  #gaussian(): number {
    const [a, b] = [this.#random.next(), this.#random.next()];
    return Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b);
  }

  #id(): string {
    const random = new Uint32Array(4);
    for (let word = 0; word < 4; word++) random[word] = this.#random.below(2 ** 32);
    const bytes = new Uint8Array(random.buffer);
    return v7({ msecs: Math.floor(this.#now), random: bytes, seq: random[0] });
  }

  #variants(mediaId: string, ownerId: string) {
    const variants = Object.fromEntries(variantNames.map((name) => {
      const width = variantWidths[name];
      const height = name === "thumbnail" ? width : Math.round(width * 0.75);
      const objectKey = `${variantPrefix(mediaId)}r1-${name}-${mediaId.slice(-12)}.webp`;
      const byteLength = Math.round(width * height * this.#random.between(0.1, 0.4));
      return [name, { objectKey, width, height, byteLength, contentType: "image/webp" }];
    }));
    const placeholder = "3OcRJYB4d3h/iIeHeEh3eIhw+j2w";
    return { mediaId, ownerId, recipe: 1, width: 4032, height: 3024, placeholder, variants };
  }
}

/** The last that happened, at most so many that memory stays bounded. */
class Recent<T> {
  readonly #kept: T[] = [];

  keep(one: T): void {
    this.#kept.push(one);
    if (this.#kept.length > 5_000) this.#kept.splice(0, 1_000);
  }

  take(random: Random): T | undefined {
    return this.#kept.splice(random.below(this.#kept.length), 1)[0];
  }

  forget(gone: (one: T) => boolean): void {
    const left = this.#kept.filter((one) => !gone(one));
    this.#kept.splice(0, Infinity, ...left);
  }
}

const words =
  ("dawn ridge harbour lantern granite meadow ferry signal orchard copper winter tide " +
    "window market kestrel ladder cellar amber station garden violet summit paper river engine")
    .split(" ");

/** Events encoded and appended at a time. */
const batch = 2_000;

/**
 * Appends synthetic events to a log whose topics are there, the text sealed under keys made in the
 * identity store; keys of accounts that close on the way are dropped at the end, as if by their closing.
 */
export async function writeSynthetic(
  log: Pick<EventLog, "append">,
  options: Synthetic & {
    readonly identity: Identity;
    onWritten?(count: number): void;
  },
): Promise<void> {
  const { identity, onWritten = () => {} } = options;
  const sealer = new AccountSealer({ identity });
  const closed = new Map<string, DomainEvent>();
  let events: DomainEvent[] = [];
  let appending: Promise<unknown> = Promise.resolve();
  const write = async () => {
    const adopted = events.flatMap(({ type, data }) =>
      type === "AccountRegistered" && data.handle !== null
        ? [identity.adopt({
          accountId: data.accountId,
          handle: data.handle,
          passwordHash: dummyHash,
        })]
        : []
    );
    await Promise.all(adopted);
    const records = await Promise.all(events.map((event) => encodeEvent(event, sealer)));
    // One batch is encoded while the one before it is written.
    await appending;
    appending = log.append(records);
    appending.catch(() => {});
    onWritten(events.length);
    events = [];
  };
  for (const event of syntheticEvents(options)) {
    events.push(event);
    if (event.type === "AccountClosed") closed.set(event.data.accountId, event);
    if (events.length === batch) await write();
  }
  await write();
  await appending;
  for (const [accountId, event] of closed) {
    await identity.close(accountId, await encodeEvent(event, sealer));
  }
  // They are in the log.
  const told = await identity.pendingOutbox(closed.size);
  await identity.removeOutbox(told.map(({ id }) => id));
}
