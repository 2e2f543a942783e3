import { LookupCache } from "./lookup-cache.ts";
import type { Identity } from "./port.ts";
import {
  type AccessTokens,
  newRefreshToken,
  refreshTokenHash,
  refreshTokenLifetime,
} from "./tokens.ts";

/** Milliseconds for which a process believes that a session stands. */
const standingLifetime = 10_000;

export interface SessionTokens {
  readonly accountId: string;
  readonly sessionId: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Seconds until the access token expires. */
  readonly expiresIn: number;
}

/** Sessions: a family of refresh tokens, each used once, and the access tokens they buy. */
export class Sessions {
  readonly #identity: Identity;
  readonly #accessTokens: AccessTokens;
  readonly #now: () => Date;
  readonly #standing: LookupCache<boolean>;

  constructor(options: { identity: Identity; accessTokens: AccessTokens; now?: () => Date }) {
    const { identity, accessTokens, now = () => new Date() } = options;
    this.#identity = identity;
    this.#accessTokens = accessTokens;
    this.#now = now;
    this.#standing = new LookupCache({
      lookup: (sessionId) => identity.sessionStands(sessionId),
      lifetime: standingLifetime,
      now: () => now().getTime(),
    });
  }

  /** Undefined when the account is not open, even if it was a moment ago. */
  async open(accountId: string): Promise<SessionTokens | undefined> {
    const sessionId = crypto.randomUUID();
    const { refreshToken, tokenHash, expiresAt } = await this.#drawRefreshToken();
    const outcome = await this.#identity
      .createSession({ familyId: sessionId, accountId, tokenHash, expiresAt });
    if (outcome === "account-not-open") return undefined;
    return this.#tokens({ accountId, sessionId }, refreshToken);
  }

  /**
   * Uses up a refresh token. "reused" means that somebody else may hold it: the session has been
   * revoked, for both.
   */
  async refresh(
    token: string,
  ): Promise<
    { outcome: "rotated"; tokens: SessionTokens } | { outcome: "reused" | "unknown" }
  > {
    const { refreshToken, ...successor } = await this.#drawRefreshToken();
    const rotation = await this.#identity
      .rotateSession(await refreshTokenHash(token), successor, this.#now());
    switch (rotation.outcome) {
      case "rotated": {
        const { accountId, familyId: sessionId } = rotation;
        const tokens = await this.#tokens({ accountId, sessionId }, refreshToken);
        return { outcome: "rotated", tokens };
      }
      case "reused":
        this.#standing.forget(rotation.familyId);
        return { outcome: "reused" };
      case "unknown":
        return rotation;
    }
  }

  async revoke(sessionId: string): Promise<void> {
    await this.#identity.revokeSession(sessionId);
    // Afterwards, so that a look-up that was under way is not kept.
    this.#standing.forget(sessionId);
  }

  /**
   * Whether the session behind an access token still stands. One revoked by another process stands
   * here for up to 10 seconds more.
   */
  stands(sessionId: string): Promise<boolean> {
    return this.#standing.get(sessionId);
  }

  /** Whether `stands` would say so from memory. */
  knownToStand(sessionId: string): boolean {
    return this.#standing.known(sessionId) ?? false;
  }

  async #drawRefreshToken() {
    const refreshToken = newRefreshToken();
    return {
      refreshToken,
      tokenHash: await refreshTokenHash(refreshToken),
      expiresAt: new Date(this.#now().getTime() + refreshTokenLifetime),
    };
  }

  async #tokens(
    session: { accountId: string; sessionId: string },
    refreshToken: string,
  ): Promise<SessionTokens> {
    const { token: accessToken, expiresIn } = await this.#accessTokens.issue(session);
    return { ...session, accessToken, refreshToken, expiresIn };
  }
}
