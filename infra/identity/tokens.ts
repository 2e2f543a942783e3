import { type JWTHeaderParameters, jwtVerify, SignJWT } from "jose";
import { LRUCache } from "lru-cache";
import { z } from "zod";
import { deriveKey, secretName } from "./server-secret.ts";

/** Seconds. */
export const accessTokenLifetime = 15 * 60;
const audience = "shutterlog";
const maximumVerified = 10_000;

export interface AccessToken {
  readonly accountId: string;
  readonly sessionId: string;
  readonly expiresAt: Date;
}

const claims = z.object({ sub: z.string(), sid: z.string(), exp: z.int() });

/**
 * Access tokens as JSON Web Tokens (RFC 7519) signed with HS256, good for 15 minutes. That a token
 * verifies says nothing of its session since: see `Sessions.stands`.
 */
export class AccessTokens {
  readonly #signing: { kid: string; key: CryptoKey };
  readonly #verification: ReadonlyMap<string, CryptoKey>;
  readonly #issuer: string;
  readonly #now: () => Date;
  /** Tokens whose signature has been checked; whether they have expired is asked each time. */
  readonly #verified = new LRUCache<string, AccessToken>({ max: maximumVerified });

  private constructor(
    signing: { kid: string; key: CryptoKey },
    verification: ReadonlyMap<string, CryptoKey>,
    issuer: string,
    now: () => Date,
  ) {
    this.#signing = signing;
    this.#verification = verification;
    this.#issuer = issuer;
    this.#now = now;
  }

  /**
   * The first secret signs, all of them verify: a new one is put in front, and the old one taken
   * away 15 minutes later. Each has at least 32 bytes (RFC 7518 §3.2). `issuer` is this
   * installation's own URL.
   */
  static async create(options: {
    secrets: readonly [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]];
    issuer: string;
    now?: () => Date;
  }): Promise<AccessTokens> {
    const [signing, ...older] = await Promise.all(options.secrets.map(namedKey));
    if (!signing) throw new Error("no secret to sign access tokens with");
    const verification = new Map([signing, ...older].map(({ kid, key }) => [kid, key]));
    return new AccessTokens(
      signing,
      verification,
      options.issuer,
      options.now ?? (() => new Date()),
    );
  }

  /** `expiresIn` is in seconds. */
  async issue(
    session: { accountId: string; sessionId: string },
  ): Promise<{ token: string; expiresIn: number }> {
    const issuedAt = Math.floor(this.#now().getTime() / 1000);
    const token = await new SignJWT({ sid: session.sessionId })
      .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: this.#signing.kid })
      .setSubject(session.accountId)
      .setIssuer(this.#issuer)
      .setAudience(audience)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + accessTokenLifetime)
      .sign(this.#signing.key);
    return { token, expiresIn: accessTokenLifetime };
  }

  /** Undefined when it is not one of ours, was tampered with, or has expired. */
  async verify(token: string): Promise<AccessToken | undefined> {
    const known = this.known(token);
    if (known) return known;
    const verified = await this.#check(token);
    return verified && verified.expiresAt > this.#now() ? verified : undefined;
  }

  /** What `verify` has found out before, at once. */
  known(token: string): AccessToken | undefined {
    const verified = this.#verified.get(token);
    // Of two dates themselves, `>` takes longer than all the rest.
    if (!verified || verified.expiresAt.getTime() > this.#now().getTime()) return verified;
    this.#verified.delete(token);
    return undefined;
  }

  async #check(token: string): Promise<AccessToken | undefined> {
    try {
      const { payload } = await jwtVerify(token, (header) => this.#verificationKey(header), {
        // Fixed here and not read from the token (RFC 8725 §3.1).
        algorithms: ["HS256"],
        typ: "JWT",
        issuer: this.#issuer,
        audience,
        requiredClaims: ["iat"],
        currentDate: this.#now(),
      });
      const { sub, sid, exp } = claims.parse(payload);
      const verified = { accountId: sub, sessionId: sid, expiresAt: new Date(exp * 1000) };
      this.#verified.set(token, verified);
      return verified;
    } catch {
      // Whatever is wrong with it, it is not a token: there is nothing else this can mean.
      return undefined;
    }
  }

  #verificationKey({ kid }: JWTHeaderParameters): CryptoKey {
    const key = kid === undefined ? undefined : this.#verification.get(kid);
    if (!key) throw new Error("signed by none of our keys");
    return key;
  }
}

async function namedKey(secret: Uint8Array<ArrayBuffer>): Promise<{ kid: string; key: CryptoKey }> {
  const algorithm = { name: "HMAC", hash: "SHA-256", length: 256 };
  return {
    kid: await secretName(secret),
    key: await deriveKey(secret, "access tokens", algorithm, ["sign", "verify"]),
  };
}

/** Milliseconds. */
export const refreshTokenLifetime = 30 * 24 * 60 * 60 * 1000;

/** 32 random bytes as base64url, 43 characters. */
export function newRefreshToken(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toBase64({
    alphabet: "base64url",
    omitPadding: true,
  });
}

/** SHA-256 as hexadecimal: as good as a slow hash for a token nobody can guess. */
export async function refreshTokenHash(token: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return new Uint8Array(digest).toHex();
}
