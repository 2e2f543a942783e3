import { problemOf, ServerUnreachable } from "./problem.ts";
import { PositionKeeper } from "./position.ts";
import type {
  Account,
  AccountPage,
  Card,
  Comment,
  Media,
  Page,
  Session,
  SignedUpload,
} from "./types.ts";

export interface ClientOptions {
  /** How long a 429 or 503 with `Retry-After` is waited out, in seconds altogether; 0 when unset. */
  readonly patience?: number;
  /** Told of every such wait. */
  readonly onWait?: (seconds: number) => void;
  readonly signal?: AbortSignal;
}

/** An answer as it came, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface RequestOptions {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Added to, and winning over, what the client sends by itself. */
  readonly headers?: Readonly<Record<string, string>>;
  /** See `ReadOptions`. */
  readonly await?: boolean | string;
}

export interface ReadOptions {
  /** Waits until the query sees this client's own commands, or a `Position` of another's. */
  readonly await?: boolean | string;
}

export interface PageOptions extends ReadOptions {
  readonly limit?: number;
  readonly cursor?: string;
}

export interface CommandOptions {
  /** A fresh one when left out. */
  readonly idempotencyKey?: string;
}

/**
 * One person's client. Methods resolve to the answer's body and throw `ProblemError` for anything
 * but success; `request` gives the answer as it came. Positions of commands are kept, and sent
 * with a query that asks for `await: true`.
 */
export class ShutterlogClient {
  /** What `register`, `signIn` or `refresh` answered last. */
  session: Session | undefined;
  /** The last answer to any request but a PUT to the store. */
  lastAnswer: Answer | undefined;
  readonly positions = new PositionKeeper();
  readonly #base: string;
  readonly #options: ClientOptions;

  constructor(baseUrl: string, options: ClientOptions = {}) {
    this.#base = baseUrl.replace(/\/+$/, "");
    this.#options = options;
  }

  // The session

  async register(
    account: { handle: string; password: string; displayName?: string },
    options: CommandOptions = {},
  ): Promise<Session> {
    return this.session = await this.#post<Session>("/v1/accounts", account, options);
  }

  async signIn(credentials: { handle: string; password: string }): Promise<Session> {
    return this.session = await this.#post<Session>("/v1/sessions", credentials);
  }

  async refresh(): Promise<Session> {
    const refreshToken = this.session?.refreshToken;
    if (refreshToken === undefined) {
      throw new Error("there is no session to refresh: sign in first");
    }
    return this.session = await this.#post<Session>("/v1/sessions/refresh", { refreshToken });
  }

  async signOut(): Promise<void> {
    await this.#send("DELETE", "/v1/sessions");
    this.session = undefined;
  }

  // Me

  async me(options: ReadOptions = {}): Promise<Account> {
    return (await this.#get<{ account: Account }>("/v1/me", options)).account;
  }

  async updateMe(
    change: { displayName?: string; bio?: string; avatarMediaId?: string | null },
  ): Promise<Account> {
    return (await this.#json<{ account: Account }>("PATCH", "/v1/me", { body: change })).account;
  }

  async closeAccount(password: string): Promise<void> {
    await this.#send("DELETE", "/v1/me", { body: { password } });
  }

  // Media

  signUpload(
    file: { contentType: string; byteLength: number },
    options: CommandOptions = {},
  ): Promise<SignedUpload> {
    return this.#post("/v1/media", file, options);
  }

  /** Sends the bytes straight to the store, with the headers it was signed for. */
  async put({ upload }: SignedUpload, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { method, url, headers } = upload;
    const answer = await this.#fetch(url, { method, headers, body: bytes });
    if (answer.status >= 300) throw problemOf(`${method} ${new URL(url).pathname}`, answer);
  }

  complete(
    mediaId: string,
    options: CommandOptions = {},
  ): Promise<{ mediaId: string; status: Media["status"] }> {
    return this.#post(path`/v1/media/${mediaId}/complete`, undefined, options);
  }

  media(mediaId: string, options: ReadOptions = {}): Promise<Media> {
    return this.#get(path`/v1/media/${mediaId}`, options);
  }

  /**
   * Asks until the medium is ready or rejected.
   * @throws {Error} when it is still neither after `timeoutSeconds`, 60 when left out.
   */
  async waitForMedia(
    mediaId: string,
    { timeoutSeconds = 60, everyMs = 100 }: { timeoutSeconds?: number; everyMs?: number } = {},
  ): Promise<Media> {
    const deadline = performance.now() + timeoutSeconds * 1000;
    for (;;) {
      const media = await this.media(mediaId, { await: true });
      if (media.status !== "processing") return media;
      if (performance.now() > deadline) {
        throw new Error(`medium ${mediaId} is still processing after ${timeoutSeconds} s`);
      }
      await sleep(everyMs, this.#options.signal);
    }
  }

  /** Signs, puts and completes; resolves to the medium's id. */
  async upload(contentType: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const signed = await this.signUpload({ contentType, byteLength: bytes.length });
    await this.put(signed, bytes);
    return (await this.complete(signed.mediaId)).mediaId;
  }

  // Posts

  createPost(
    post: { mediaIds: string[]; caption?: string; altTexts?: Record<string, string> },
    options: CommandOptions = {},
  ): Promise<{ postId: string }> {
    return this.#post("/v1/posts", post, options);
  }

  editPost(postId: string, caption: string): Promise<void> {
    return this.#send("PATCH", path`/v1/posts/${postId}`, { body: { caption } });
  }

  deletePost(postId: string): Promise<void> {
    return this.#send("DELETE", path`/v1/posts/${postId}`);
  }

  post(postId: string, options: ReadOptions = {}): Promise<Card> {
    return this.#get(path`/v1/posts/${postId}`, options);
  }

  like(postId: string): Promise<void> {
    return this.#send("PUT", path`/v1/posts/${postId}/like`);
  }

  unlike(postId: string): Promise<void> {
    return this.#send("DELETE", path`/v1/posts/${postId}/like`);
  }

  likes(postId: string, options: PageOptions = {}): Promise<Page<Account>> {
    return this.#page(path`/v1/posts/${postId}/likes`, options);
  }

  comment(
    postId: string,
    text: string,
    options: CommandOptions = {},
  ): Promise<{ commentId: string }> {
    return this.#post(path`/v1/posts/${postId}/comments`, { text }, options);
  }

  deleteComment(postId: string, commentId: string): Promise<void> {
    return this.#send("DELETE", path`/v1/posts/${postId}/comments/${commentId}`);
  }

  comments(postId: string, options: PageOptions = {}): Promise<Page<Comment>> {
    return this.#page(path`/v1/posts/${postId}/comments`, options);
  }

  // Feeds

  feed(options: PageOptions = {}): Promise<Page<Card>> {
    return this.#page("/v1/feed", options);
  }

  /** Every page of the feed to its end; only the first one awaits. */
  feedPages(options: PageOptions = {}): AsyncGenerator<Page<Card>> {
    return pages((page) => this.feed(page), options);
  }

  // Accounts

  account(idOrHandle: string, options: ReadOptions = {}): Promise<AccountPage> {
    return this.#get(path`/v1/accounts/${idOrHandle}`, options);
  }

  accountPosts(accountId: string, options: PageOptions = {}): Promise<Page<Card>> {
    return this.#page(path`/v1/accounts/${accountId}/posts`, options);
  }

  followers(accountId: string, options: PageOptions = {}): Promise<Page<Account>> {
    return this.#page(path`/v1/accounts/${accountId}/followers`, options);
  }

  following(accountId: string, options: PageOptions = {}): Promise<Page<Account>> {
    return this.#page(path`/v1/accounts/${accountId}/following`, options);
  }

  follow(accountId: string): Promise<void> {
    return this.#send("PUT", path`/v1/accounts/${accountId}/follow`);
  }

  unfollow(accountId: string): Promise<void> {
    return this.#send("DELETE", path`/v1/accounts/${accountId}/follow`);
  }

  block(accountId: string): Promise<void> {
    return this.#send("PUT", path`/v1/accounts/${accountId}/block`);
  }

  unblock(accountId: string): Promise<void> {
    return this.#send("DELETE", path`/v1/accounts/${accountId}/block`);
  }

  // Requests

  /**
   * Any request, answered as it comes: no status is an error. Positions are kept all the same.
   * @throws {ServerUnreachable} when there is no answer, or no whole one.
   */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const url = new URL(this.#base + path);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers = new Headers();
    if (this.session) headers.set("Authorization", `Bearer ${this.session.accessToken}`);
    if (options.body !== undefined) headers.set("Content-Type", "application/json");
    const position = options.await === true ? this.positions.header : options.await;
    if (position) headers.set("Await-Position", position);
    for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);

    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const answer = await this.#fetch(url, { method, headers, body });
    this.positions.keep(answer.headers.get("Position"));
    return this.lastAnswer = answer;
  }

  async #json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const answer = await this.request(method, path, options);
    if (answer.status >= 300) throw problemOf(`${method} ${path}`, answer);
    return JSON.parse(answer.text) as T;
  }

  async #send(method: string, path: string, options: RequestOptions = {}): Promise<void> {
    const answer = await this.request(method, path, options);
    if (answer.status >= 300) throw problemOf(`${method} ${path}`, answer);
  }

  #post<T>(path: string, body: unknown, { idempotencyKey }: CommandOptions = {}): Promise<T> {
    const headers = { "Idempotency-Key": idempotencyKey ?? crypto.randomUUID() };
    return this.#json("POST", path, { body, headers });
  }

  #get<T>(path: string, options: ReadOptions): Promise<T> {
    return this.#json("GET", path, options);
  }

  #page<Item>(path: string, { limit, cursor, ...options }: PageOptions): Promise<Page<Item>> {
    return this.#json("GET", path, { ...options, query: { limit, cursor } });
  }

  /** Waits out `Retry-After` as long as there is patience; sends the very same request again. */
  async #fetch(url: string | URL, init: RequestInit): Promise<Answer> {
    const { signal, onWait } = this.#options;
    let patience = this.#options.patience ?? 0;
    for (;;) {
      const { status, headers, text } = await wholeAnswer(url, {
        ...init,
        ...(signal && { signal }),
      })
        .catch((error) => {
          if (signal?.aborted) throw error;
          throw new ServerUnreachable(new URL(url).origin, { cause: error });
        });
      const seconds = Number(headers.get("Retry-After") ?? NaN);
      const busy = status === 429 || status === 503;
      if (!busy || Number.isNaN(seconds) || seconds > patience) return { status, headers, text };
      patience -= Math.max(seconds, 0.1);
      onWait?.(seconds);
      await sleep(Math.max(seconds, 0.1) * 1000, signal);
    }
  }
}

/** Rejects, too, when the server ends between an answer's head and the last byte of its body. */
async function wholeAnswer(url: string | URL, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  const { status, headers } = response;
  return { status, headers, text: await response.text() };
}

async function* pages<Item>(
  read: (options: PageOptions) => Promise<Page<Item>>,
  options: PageOptions,
): AsyncGenerator<Page<Item>> {
  let page = await read(options);
  yield page;
  while (page.nextCursor !== null) {
    page = await read({ ...options, await: false, cursor: page.nextCursor });
    yield page;
  }
}

/** A path whose holes are escaped. */
function path(parts: TemplateStringsArray, ...holes: string[]): string {
  return String.raw({ raw: parts }, ...holes.map(encodeURIComponent));
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
