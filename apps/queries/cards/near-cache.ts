import { LRUCache } from "lru-cache";
import { type CardCache, type Listening } from "../../../infra/card-cache/port.ts";
import { everything, keyOf, partsOf, withoutGeneration } from "../../../projections/cards/keys.ts";
import type { Card } from "./card.ts";
import type { Relation } from "./rules.ts";

/** Milliseconds after which what is kept is loaded again: a belt, should an eviction never be sent. */
const maximumAge = 60_000;
/** Bytes, about, of all cards and of all viewers, at most. */
const maximumCardBytes = 64 * 1024 * 1024;
const maximumViewerBytes = 32 * 1024 * 1024;
/** Bytes of an entry besides what it holds, about: objects, keys, places in maps. */
const entryBytes = 400;
/** Bytes, about, of one thing known of a viewer. */
const knownBytes = 60;

/** A card as it was when its reading began; undefined for a post of which there is none to show. */
export interface KeptCard {
  readonly card: Card | undefined;
  /** The keys of its author and its media: a change of theirs is one of the card. */
  readonly dependsOn: readonly string[];
  readonly until: number;
}

/** What is known of how a viewer stands to some posts and authors: those that were asked about. */
export class Viewer {
  readonly likes = new Map<string, boolean>();
  readonly relations = new Map<string, Relation>();
  constructor(readonly until: number) {}
}

/** A reading of the database under way, and what has been evicted since it began. */
export interface Loading {
  readonly evicted: Set<string>;
  lost: boolean;
}

/**
 * What this process keeps of cards and viewers, bounded: what was loaded first goes first, which is
 * also what is too old soonest, and reading leaves no trace, which would cost as much again. It is right as
 * long as it hears of evictions, which come after the database has the change: what was loaded before
 * is dropped then, and what is being loaded is not kept. While it does not hear, it keeps nothing.
 */
export class NearCache {
  readonly #cards: LRUCache<string, KeptCard>;
  readonly #viewers: LRUCache<string, Viewer>;
  /** Which posts' cards depend on the part with this key. */
  readonly #dependents = new Map<string, Set<string>>();
  readonly #loadings = new Set<Loading>();
  readonly #listening: Listening;
  readonly #now: () => number;
  readonly #onEverything: () => void;

  constructor(
    cardCache: Pick<CardCache, "listen">,
    options: {
      now?: () => number;
      cardBytes?: number;
      viewerBytes?: number;
      /** Called when what is live is another version now. */
      onEverything?: () => void;
    } = {},
  ) {
    this.#onEverything = options.onEverything ?? (() => {});
    this.#now = options.now ?? (() => performance.now());
    this.#cards = new LRUCache({
      maxSize: options.cardBytes ?? maximumCardBytes,
      sizeCalculation: ({ card, dependsOn }) =>
        entryBytes + 100 * dependsOn.length + 2 * (card?.item.length ?? 0),
      dispose: ({ dependsOn }, postId) => this.#forgetDependence(postId, dependsOn),
      noDisposeOnSet: false,
    });
    this.#viewers = new LRUCache({
      maxSize: options.viewerBytes ?? maximumViewerBytes,
      sizeCalculation: ({ likes, relations }) =>
        entryBytes + knownBytes * (likes.size + relations.size),
    });
    this.#listening = cardCache.listen({
      evicted: (keys) => this.#evict(keys),
      lost: () => this.#lose(),
    });
  }

  /** Whether what it keeps may be shown. */
  get live(): boolean {
    return this.#listening.live;
  }

  now(): number {
    return this.#now();
  }

  card(postId: string, now: number): KeptCard | undefined {
    const kept = this.#cards.peek(postId);
    return kept && now < kept.until ? kept : undefined;
  }

  viewer(viewerId: string, now: number): Viewer | undefined {
    const kept = this.#viewers.peek(viewerId);
    return kept && now < kept.until ? kept : undefined;
  }

  /** Adds to what is known what is lacking, by a reading that hears of evictions. */
  async completing<Value>(
    known: ReadonlyMap<string, Value>,
    ids: readonly string[],
    read: (lacking: readonly string[], loading: Loading) => Promise<ReadonlyMap<string, Value>>,
  ): Promise<ReadonlyMap<string, Value>> {
    const all = new Map<string, Value>();
    const lacking: string[] = [];
    for (const id of ids) {
      const value = known.get(id);
      if (value === undefined) lacking.push(id);
      else all.set(id, value);
    }
    if (lacking.length === 0) return all;
    const loading = this.loading();
    try {
      for (const [id, value] of await read(lacking, loading)) all.set(id, value);
    } finally {
      this.loaded(loading);
    }
    return all;
  }

  /** To be called before anything is read, and ended by `loaded`. */
  loading(): Loading {
    const loading = { evicted: new Set<string>(), lost: !this.live };
    this.#loadings.add(loading);
    return loading;
  }

  loaded(loading: Loading): void {
    this.#loadings.delete(loading);
  }

  keepCard(loading: Loading, postId: string, card: Card | undefined, dependsOn: string[]): void {
    const { evicted, lost } = loading;
    if (lost || evicted.has(keyOf.post(postId)) || dependsOn.some((key) => evicted.has(key))) {
      return;
    }
    this.#cards.set(postId, { card, dependsOn, until: this.#now() + maximumAge });
    if (!this.#cards.has(postId)) return;
    for (const key of dependsOn) {
      this.#dependents.getOrInsertComputed(key, () => new Set()).add(postId);
    }
  }

  keepLikes(loading: Loading, viewerId: string, likes: ReadonlyMap<string, boolean>): void {
    if (loading.lost) return;
    this.#keep(viewerId, (viewer) => {
      for (const [postId, liked] of likes) {
        if (!loading.evicted.has(keyOf.likes(viewerId, postId))) viewer.likes.set(postId, liked);
      }
    });
  }

  keepRelations(
    loading: Loading,
    viewerId: string,
    relations: ReadonlyMap<string, Relation>,
  ): void {
    if (loading.lost) return;
    this.#keep(viewerId, (viewer) => {
      for (const [accountId, relation] of relations) {
        if (loading.evicted.has(keyOf.relations(viewerId, accountId))) continue;
        viewer.relations.set(accountId, relation);
      }
    });
  }

  /** Resolves once what was evicted before this call is not kept any more. */
  caughtUp(): Promise<void> {
    return this.#listening.caughtUp();
  }

  async stop(): Promise<void> {
    await this.#listening.stop();
    this.#lose();
  }

  #keep(viewerId: string, add: (viewer: Viewer) => void): void {
    const now = this.#now();
    const viewer = this.viewer(viewerId, now) ?? new Viewer(now + maximumAge);
    add(viewer);
    // Set again, since it has grown.
    this.#viewers.set(viewerId, viewer);
  }

  #evict(evicted: readonly string[]): void {
    for (const key of new Set(evicted.map(withoutGeneration))) {
      if (key === everything) {
        this.#lose();
        this.#onEverything();
        continue;
      }
      for (const { evicted } of this.#loadings) evicted.add(key);
      const { kind, id, of } = partsOf(key);
      if (kind === "post") this.#cards.delete(id);
      else if (kind === "likes" || kind === "relations") this.#viewers.peek(id)?.[kind].delete(of);
      else for (const postId of [...this.#dependents.get(key) ?? []]) this.#cards.delete(postId);
    }
  }

  #lose(): void {
    for (const loading of this.#loadings) loading.lost = true;
    this.#cards.clear();
    this.#viewers.clear();
  }

  #forgetDependence(postId: string, dependsOn: readonly string[]): void {
    for (const key of dependsOn) {
      const dependents = this.#dependents.get(key);
      if (dependents?.delete(postId) && dependents.size === 0) this.#dependents.delete(key);
    }
  }
}
