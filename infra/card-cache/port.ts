/**
 * Texts that are the same for everyone, each under a key, loaded from the database when someone asks
 * and shared by all processes; and the news of what has changed, for what each process keeps besides.
 *
 * Whoever changes the database evicts afterwards, at least once. Whoever loads claims first, reads
 * the database's primary then, and fills. Either the eviction comes before the claim, and the database
 * that is read after it holds the change; or it comes after it, and takes the claim away, so that what
 * was read too early is not kept. A text may be forgotten at any time.
 */
export interface CardCache {
  /**
   * In the order of the keys: the text that is kept; or where none is, a claim to fill it; or
   * undefined while another's claim stands. A claim that is not filled within `claimSeconds` lapses.
   */
  take(keys: readonly string[]): Promise<readonly Taken[]>;
  /** Keeps texts that were loaded after their claims were made, unless those are gone. */
  fill(loaded: readonly { readonly claim: Claim; readonly text: string }[]): Promise<void>;
  /**
   * Forgets texts and takes claims away; then says so to whoever listens. Keys under which only
   * listeners keep something are fine. Resolves when both are done. Idempotent.
   */
  evict(keys: readonly string[]): Promise<void>;
  /** Hears of evictions from a moment soon after this call: see `Listening.live`. */
  listen(listener: Listener): Listening;
  check(): Promise<void>;
  close(): Promise<void>;
}

export type Taken = { readonly text: string } | { readonly claim: Claim } | undefined;

export interface Claim {
  readonly key: string;
  readonly token: string;
}

/** Seconds within which a claim must be filled. */
export const claimSeconds = 10;

export interface Listener {
  /** Called in the order of the evictions. Must not throw. */
  evicted(keys: readonly string[]): void;
  /** Evictions may have gone unheard: whatever is kept may be old. */
  lost(): void;
}

export interface Listening {
  /**
   * Whether what is kept may be shown: nothing was lost since `lost` was called, if ever, and what was
   * evicted `hearingSeconds` ago or earlier has been heard.
   */
  readonly live: boolean;
  /** Resolves once all that was evicted before this call has been heard, or else `live` is false. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

/** How long an eviction may go unheard, in seconds, when the network fails and does not say so. */
export const hearingSeconds = 2;
