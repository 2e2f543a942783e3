import type { DomainEvent } from "../../../domain/events.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";

interface FanOutRow {
  author_id: string;
  kind: string;
  before: string;
  servedAt: number;
  takenUntil: number;
  taken: string;
}

interface PostRow {
  readonly authorId: string;
  readonly mediaIds: readonly string[];
  deleted: boolean;
}

type Parameters = readonly unknown[];

/**
 * A read model in plain collections, and what the feeds remember, behind the statements that feeds
 * are made with: thousands of histories a minute in place of a few. A statement it does not know is
 * an error. A test beside it holds it to PostgreSQL, statement by statement.
 */
export class MemorySql implements SqlQueries {
  readonly #now: () => number;
  readonly #registered = new Set<string>();
  readonly #closed = new Set<string>();
  /** Follower → followee → the id of the follow. */
  readonly #follows = new Map<string, Map<string, string>>();
  readonly #blocks = new Set<string>();
  readonly #posts = new Map<string, PostRow>();
  /** Author → the fan-out that announces them. */
  readonly #pulled = new Map<string, string | null>();
  readonly #fanOuts = new Map<string, FanOutRow>();
  #turn = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes an event as the read model does, which takes each once. */
  take({ id, type, data }: DomainEvent): void {
    switch (type) {
      case "AccountRegistered":
        this.#registered.add(data.accountId);
        break;
      case "AccountClosed":
        this.#closed.add(data.accountId);
        break;
      case "AccountFollowed": {
        const followees = this.#follows.getOrInsertComputed(data.followerId, () => new Map());
        if (!followees.has(data.followeeId)) followees.set(data.followeeId, id);
        break;
      }
      case "AccountUnfollowed":
        this.#follows.get(data.followerId)?.delete(data.followeeId);
        break;
      case "AccountBlocked":
        this.#blocks.add(`${data.blockerId} ${data.blockedId}`);
        break;
      case "AccountUnblocked":
        this.#blocks.delete(`${data.blockerId} ${data.blockedId}`);
        break;
      case "PostCreated":
        this.#posts.set(data.postId, {
          authorId: data.authorId,
          mediaIds: data.mediaIds,
          deleted: false,
        });
        break;
      case "PostDeleted": {
        const post = this.#posts.get(data.postId);
        if (post) post.deleted = true;
      }
    }
  }

  /** Whether a card would be made of a post, and the reader's feed show it. */
  shows(readerId: string, postId: string): boolean {
    const post = this.#posts.get(postId);
    if (!post || post.deleted) return false;
    const { authorId } = post;
    return this.#registered.has(authorId) && !this.#closed.has(authorId) &&
      !this.#blocks.has(`${authorId} ${readerId}`) &&
      !this.#blocks.has(`${readerId} ${authorId}`) &&
      this.#followees(readerId).has(authorId);
  }

  isFannedOut(postId: string): boolean {
    return !this.#fanOuts.has(postId);
  }

  query<Row>(text: string, parameters: Parameters = []): Promise<Row[]> {
    const found = this.#statements.find(([words]) => text.includes(words));
    if (!found) throw new Error(`not known in memory: ${text}`);
    return Promise.resolve(found[1](parameters) as Row[]);
  }

  execute(): Promise<void> {
    throw new Error("not known in memory");
  }

  copy(): Promise<number> {
    throw new Error("not known in memory");
  }

  /** By words that only one statement holds. */
  readonly #statements: readonly (readonly [string, (parameters: Parameters) => unknown[]])[] = [
    ["FROM read_model.follows AS follow\n     CROSS JOIN LATERAL", (p) => this.#feedPage(p)],
    ["SELECT account_id, ARRAY(", (p) => this.#postsOfAccounts(p)],
    ["SELECT nth\n", (p) => this.#standingFollows(p)],
    ["SELECT follower_id, follow_id", (p) => this.#followersBelow(p)],
    [
      "SELECT account_id FROM read_model.accounts\n",
      ([ids]) =>
        strings(ids).filter((id) => this.#closed.has(id)).map((account_id) => ({ account_id })),
    ],
    ["AS followers,", (p) => this.#authors(p)],
    ["INSERT INTO feeds.pulled_authors", (p) => this.#announce(p)],
    ["WITH removed AS", (p) => this.#takeOffRecord(p)],
    [
      "SELECT author_id FROM feeds.pulled_authors WHERE",
      ([ids]) =>
        strings(ids).filter((id) => this.#pulled.has(id)).map((author_id) => ({ author_id })),
    ],
    [
      "SELECT author_id FROM feeds.pulled_authors AS pulled",
      ([reader]) =>
        [...this.#pulled.keys()].filter((id) => this.#followees(String(reader)).has(id))
          .map((author_id) => ({ author_id })),
    ],
    ["SELECT post_id, $1, 'push', $3", (p) => this.#beginFanOuts(p)],
    ["SET taken_until = clock_timestamp()", () => this.#takeFanOut()],
    ["SET before = $3", (p) => this.#moveFanOut(p)],
    ["WITH ended AS", (p) => this.#endFanOut(p)],
  ];

  #followees(readerId: string): ReadonlyMap<string, string> {
    return this.#follows.get(readerId) ?? new Map();
  }

  #feedPage([readerId, before, limit]: Parameters) {
    const followees = this.#followees(String(readerId));
    return this.#postIds(
      ({ authorId }) => followees.has(authorId) && !this.#closed.has(authorId),
      before,
      limit,
    ).map((post_id) => ({
      post_id,
      author_id: this.#posts.get(post_id)?.authorId,
      media_ids: this.#posts.get(post_id)?.mediaIds,
    }));
  }

  #postsOfAccounts([ids, before, limit]: Parameters) {
    return strings(ids).map((account_id) => ({
      account_id,
      post_ids: this.#postIds(({ authorId }) => authorId === account_id, before, limit),
    }));
  }

  #postIds(
    which: (post: { authorId: string }) => boolean,
    before: unknown,
    limit: unknown,
  ): string[] {
    return [...this.#posts]
      .filter(([id, post]) => !post.deleted && id < String(before) && which(post))
      .map(([id]) => id).sort().reverse().slice(0, Number(limit));
  }

  #standingFollows([followers, followees]: Parameters) {
    return strings(followers).flatMap((follower, index) =>
      this.#followees(follower).has(strings(followees)[index] ?? "") ? [{ nth: index + 1 }] : []
    );
  }

  #followersBelow([followee, before, limit]: Parameters) {
    return this.#followersOf(String(followee))
      .filter(({ follow_id }) => follow_id < String(before))
      .sort((a, b) => a.follow_id < b.follow_id ? 1 : -1)
      .slice(0, Number(limit));
  }

  #followersOf(followee: string) {
    return [...this.#follows].flatMap(([follower_id, followees]) => {
      const follow_id = followees.get(followee);
      return follow_id === undefined ? [] : [{ follower_id, follow_id }];
    });
  }

  #authors([ids]: Parameters) {
    return strings(ids).map((author_id) => {
      const announcedBy = this.#pulled.get(author_id);
      return {
        author_id,
        followers: this.#followersOf(author_id).length,
        state: announcedBy === undefined ? "pushed" : announcedBy === null ? "pulled" : "announced",
      };
    });
  }

  #announce([author, before]: Parameters) {
    if (this.#pulled.has(String(author))) return [];
    const announcedBy = crypto.randomUUID();
    this.#pulled.set(String(author), announcedBy);
    this.#begin(announcedBy, String(author), "pull", String(before));
    return [];
  }

  #takeOffRecord([author]: Parameters) {
    this.#pulled.delete(String(author));
    for (const [id, { author_id, kind }] of this.#fanOuts) {
      if (author_id === author && kind === "pull") this.#fanOuts.delete(id);
    }
    return [];
  }

  #beginFanOuts([author, posts, before]: Parameters) {
    for (const id of strings(posts)) this.#begin(id, String(author), "push", String(before));
    return [];
  }

  #begin(id: string, author_id: string, kind: string, before: string): void {
    const under = this.#fanOuts.get(id);
    if (under) {
      if (before > under.before) under.before = before;
      Object.assign(under, { takenUntil: -Infinity, taken: "" });
      return;
    }
    this.#fanOuts.set(id, {
      author_id,
      kind,
      before,
      servedAt: this.#turn++,
      takenUntil: -Infinity,
      taken: "",
    });
  }

  #takeFanOut() {
    const [next] = [...this.#fanOuts].filter(([, { takenUntil }]) => takenUntil < this.#now())
      .sort(([, a], [, b]) => a.servedAt - b.servedAt);
    if (!next) return [];
    const [fan_out_id, row] = next;
    row.takenUntil = this.#now() + 10_000;
    row.taken = `taking ${this.#turn++}`;
    const { author_id, kind, before, taken } = row;
    return [{ fan_out_id, author_id, kind, before, taken }];
  }

  #moveFanOut([id, taken, before]: Parameters) {
    const row = this.#fanOuts.get(String(id));
    if (!row || row.taken !== taken) return [];
    Object.assign(row, { before, servedAt: this.#turn++, takenUntil: -Infinity, taken: "" });
    return [];
  }

  #endFanOut([id, taken]: Parameters) {
    if (this.#fanOuts.get(String(id))?.taken !== taken) return [];
    this.#fanOuts.delete(String(id));
    for (const [author, announcedBy] of this.#pulled) {
      if (announcedBy === id) this.#pulled.set(author, null);
    }
    return [];
  }
}

function strings(values: unknown): string[] {
  return Array.isArray(values) ? values.map(String) : [];
}
