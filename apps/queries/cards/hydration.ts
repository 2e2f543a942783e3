import type { CardCache } from "../../../infra/card-cache/port.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";
import type { Logger } from "../../../infra/telemetry/logger.ts";
import type { LiveSql } from "../../../projections/runner/live-schemas.ts";
import { likedAmong } from "../../../projections/read-model/reads/likes.ts";
import type { PostOrigin } from "../../../projections/read-model/reads/posts-by-id.ts";
import { relationsTo } from "../../../projections/read-model/reads/relations.ts";
import type { Card } from "./card.ts";
import { cardReads } from "./metrics.ts";
import { type Loading, NearCache } from "./near-cache.ts";
import { accounts, cardOf, media, type Parts, posts } from "./parts.ts";
import { type Relation, relationOf, strangers } from "./rules.ts";
import { SharedParts } from "./shared-parts.ts";

/** The second step: what is to be known of some posts, each in the order of their ids. */
export interface Hydrated {
  /** Undefined for deleted posts and those of closed or unknown authors. */
  readonly cards: readonly (Card | undefined)[];
  /** Whether the viewer likes it, where there is a card. */
  readonly liked: readonly boolean[];
  /** To its author, where there is a card. */
  readonly relations: readonly Relation[];
}

/** What is kept of how a viewer stands to posts and to authors. */
interface Stance {
  readonly likes: ReadonlyMap<string, boolean>;
  readonly relations: ReadonlyMap<string, Relation>;
}

/** A viewer who is not signed in likes nothing and knows nobody. */
const nothing: Stance = { likes: new Map(), relations: new Map() };

type Cards = Hydrated["cards"];
type Loaded = Promise<ReadonlyMap<string, Card>>;

/**
 * Cards from this process's memory, then from the cache that all processes share, then from the
 * database; what concerns the viewer from memory, then from the database. When all is in memory, the
 * answer is there at once, and nothing has been allocated for any card.
 */
export class Hydration {
  readonly #near: NearCache;
  readonly #shared: SharedParts;
  readonly #database: Parts;
  readonly #sql: SqlQueries;
  /** Readings under way that no eviction has overtaken: who asks at the same time shares them. */
  readonly #loads = new Map<string, { readonly loading: Loading; readonly cards: Loaded }>();

  constructor(services: {
    sql: SqlQueries;
    /** Where `sql` looks which versions are live; without it they never change. */
    live?: Pick<LiveSql, "pointer" | "invalidate">;
    cardCache: CardCache;
    logger: Logger;
  }) {
    const onEverything = () => services.live?.invalidate();
    this.#near = new NearCache(services.cardCache, { onEverything });
    this.#shared = new SharedParts(services);
    this.#database = { get: (part, ids) => part.load(services.sql, ids) };
    this.#sql = services.sql;
  }

  /** `origins`: those of all the posts, where they are known: then all else is read at once. */
  hydrate(
    viewerId: string | undefined,
    postIds: readonly string[],
    origins?: readonly PostOrigin[],
  ): Hydrated | Promise<Hydrated> {
    const near = this.#near;
    if (!near.live) return this.#complete(viewerId, postIds, origins);
    const now = near.now();
    const viewer = viewerId === undefined ? nothing : near.viewer(viewerId, now);
    if (!viewer) return this.#complete(viewerId, postIds, origins);
    const cards: (Card | undefined)[] = [];
    const liked: boolean[] = [];
    const relations: Relation[] = [];
    for (const postId of postIds) {
      const kept = near.card(postId, now);
      if (!kept) return this.#complete(viewerId, postIds, origins);
      const { card } = kept;
      const likes = viewer.likes.get(postId);
      const relation = card && viewer.relations.get(card.authorId);
      const known = viewerId === undefined || card === undefined ||
        likes !== undefined && relation !== undefined;
      if (!known) return this.#complete(viewerId, postIds, origins);
      cards.push(card);
      liked.push(likes ?? false);
      relations.push(relation ?? strangers);
    }
    cardReads.counts.hit += cards.length;
    return { cards, liked, relations };
  }

  /** Resolves once what was evicted before this call is shown to nobody any more. */
  caughtUp(): Promise<void> {
    return this.#near.caughtUp();
  }

  async stop(): Promise<void> {
    await this.#shared.drain();
    await this.#near.stop();
  }

  async #complete(
    viewerId: string | undefined,
    postIds: readonly string[],
    origins: readonly PostOrigin[] | undefined,
  ): Promise<Hydrated> {
    const reading = this.#cards(postIds, origins);
    if (viewerId === undefined) return hydrated(postIds, await reading, nothing);
    const authors = origins?.map((origin) => origin.author_id);
    const [cards, likes, known] = await Promise.all([
      reading,
      this.#likes(viewerId, postIds),
      authors && this.#relations(viewerId, authors),
    ]);
    const authorIds = cards.flatMap((card) => card ? [card.authorId] : []);
    const relations = known ?? await this.#relations(viewerId, authorIds);
    return hydrated(postIds, cards, { likes, relations });
  }

  async #cards(
    postIds: readonly string[],
    origins: readonly PostOrigin[] | undefined,
  ): Promise<Cards> {
    const near = this.#near;
    const [live, now] = [near.live, near.now()];
    const lacking: string[] = [];
    const found = postIds.map((postId) => {
      const kept = live ? near.card(postId, now) : undefined;
      if (kept) return kept.card;
      const load = this.#loads.get(postId);
      // Nothing at all must have been evicted since it began: whose card it is, is not known yet.
      if (load && !load.loading.lost && load.loading.evicted.size === 0) return load.cards;
      lacking.push(postId);
    });
    cardReads.counts.hit += postIds.length - lacking.length;
    cardReads.counts.miss += lacking.length;
    const loaded = lacking.length > 0 ? this.#loadCards(lacking, origins) : undefined;
    const cards: (Card | undefined)[] = [];
    for (const [nth, postId] of postIds.entries()) {
      const one = found[nth] ?? loaded;
      cards.push(one && "authorId" in one ? one : (await one)?.get(postId));
    }
    return cards;
  }

  #loadCards(postIds: readonly string[], origins: readonly PostOrigin[] | undefined): Loaded {
    const loading = this.#near.loading();
    const cards = this.#readCards(loading, postIds, origins).finally(() => {
      this.#near.loaded(loading);
      for (const postId of postIds) {
        if (this.#loads.get(postId)?.loading === loading) this.#loads.delete(postId);
      }
    });
    for (const postId of postIds) this.#loads.set(postId, { loading, cards });
    return cards;
  }

  async #readCards(
    loading: Loading,
    postIds: readonly string[],
    origins: readonly PostOrigin[] | undefined,
  ): Loaded {
    // What cannot be kept has nothing to gain from a cache that is most likely out of reach.
    const parts = loading.lost ? this.#database : this.#shared;
    const wanted = new Set(postIds);
    const known = origins?.filter((origin) => wanted.has(origin.post_id))
      .map((origin) => ({ authorId: origin.author_id, mediaIds: origin.media_ids }));
    const reading = parts.get(posts, postIds);
    const made = known ?? [...(await reading).values()];
    const [standing, authors, shown] = await Promise.all([
      reading,
      parts.get(accounts, unique(made.map((one) => one.authorId))),
      parts.get(media, unique(made.flatMap((one) => one.mediaIds))),
    ]);
    const cards = new Map<string, Card>();
    for (const postId of postIds) {
      const post = standing.get(postId);
      const author = post && authors.get(post.authorId);
      const card = cardOf(postId, post, author, (mediaId) => shown.get(mediaId));
      if (card) cards.set(postId, card);
      const dependsOn = post
        ? [accounts.key(post.authorId), ...post.mediaIds.map((mediaId) => media.key(mediaId))]
        : [];
      this.#near.keepCard(loading, postId, card, dependsOn);
    }
    return cards;
  }

  async #likes(
    viewerId: string,
    postIds: readonly string[],
  ): Promise<ReadonlyMap<string, boolean>> {
    const near = this.#near;
    const known = near.live ? near.viewer(viewerId, near.now())?.likes : undefined;
    return await near.completing(known ?? nothing.likes, postIds, async (lacking, loading) => {
      const liked = await likedAmong(this.#sql, viewerId, lacking);
      const likes = new Map(lacking.map((postId) => [postId, liked.has(postId)]));
      near.keepLikes(loading, viewerId, likes);
      return likes;
    });
  }

  async #relations(
    viewerId: string,
    accountIds: readonly string[],
  ): Promise<ReadonlyMap<string, Relation>> {
    const near = this.#near;
    const known = near.live ? near.viewer(viewerId, near.now())?.relations : undefined;
    return await near.completing(
      known ?? nothing.relations,
      unique(accountIds),
      async (lacking, loading) => {
        const read = await relationsTo(this.#sql, viewerId, lacking);
        const relations = new Map(lacking.map((accountId) => [
          accountId,
          relationOf({
            following: read.following.has(accountId),
            blocking: read.blocking.has(accountId),
            blockedBy: read.blockedBy.has(accountId),
          }),
        ]));
        near.keepRelations(loading, viewerId, relations);
        return relations;
      },
    );
  }
}

function hydrated(
  postIds: readonly string[],
  cards: Cards,
  { likes, relations }: Stance,
): Hydrated {
  return {
    cards,
    liked: postIds.map((postId) => likes.get(postId) ?? false),
    relations: cards.map((card) => card && relations.get(card.authorId) || strangers),
  };
}

function unique(ids: readonly string[]): string[] {
  return [...new Set(ids)];
}
