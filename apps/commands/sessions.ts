import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { handle, handleKey } from "../../domain/values.ts";
import { callerOf, clientAddress, type HttpEnv } from "../../infra/http/env.ts";
import { setPosition } from "../../infra/http/positions.ts";
import { Problem } from "../../infra/http/problem.ts";
import { anyProblem } from "../../infra/http/problem-schema.ts";
import { account } from "../queries/schemas.ts";
import { password } from "../../infra/identity/passwords.ts";
import type { SessionTokens } from "../../infra/identity/sessions.ts";
import { type AccountAnswer, accountAsKnown } from "./account-answer.ts";
import { anonymous, signedIn } from "./command.ts";
import { answer, bearer, body, headers, keyedHeaders, noContent } from "./definitions.ts";
import type { CommandServices } from "./services.ts";

export const signedInAnswer = z.object({
  account,
  accessToken: z.string(),
  refreshToken: z.string().openapi({
    description: "To be used once: the answer has the next one.",
  }),
  expiresIn: z.int().openapi({ description: "Seconds until the access token expires." }),
}).openapi("SignedIn");

const signIn = createRoute({
  method: "post",
  path: "/v1/sessions",
  summary: "Sign in",
  tags: ["sessions"],
  request: { headers: keyedHeaders, body: body(z.strictObject({ handle, password })) },
  responses: { 201: answer("Signed in", signedInAnswer), default: anyProblem },
});

const refresh = createRoute({
  method: "post",
  path: "/v1/sessions/refresh",
  summary: "Exchange a refresh token for fresh tokens",
  description: "A token that comes a second time was stolen, or its thief was: the session ends.",
  tags: ["sessions"],
  request: {
    headers: keyedHeaders,
    body: body(z.strictObject({ refreshToken: z.string().min(1).max(200) })),
  },
  responses: { 201: answer("Fresh tokens", signedInAnswer), default: anyProblem },
});

const signOut = createRoute({
  method: "delete",
  path: "/v1/sessions",
  summary: "Sign out: end the session this access token belongs to",
  tags: ["sessions"],
  security: bearer,
  request: { headers },
  responses: noContent,
});

export const sessionRoutes = [signIn, refresh, signOut];

export function tokensAnswer(account: AccountAnswer, tokens: SessionTokens) {
  const { accessToken, refreshToken, expiresIn } = tokens;
  return { account, accessToken, refreshToken, expiresIn };
}

export function mountSessions(app: OpenAPIHono<HttpEnv>, services: CommandServices): void {
  const { identity, idempotency, passwords, rateLimits, sessions } = services;

  app.openapi({ ...signIn, middleware: anonymous(services) }, async (c) => {
    const { handle, password } = c.req.valid("json");
    const address = clientAddress(c);
    await rateLimits.session.take(c, address);
    await rateLimits.signIn.take(c, `${address} ${handleKey(handle)}`);
    return await idempotency.once(c, async () => {
      const credentials = await identity.credentials({ handle });
      const right = await passwords.verify(credentials?.passwordHash, password);
      const tokens = credentials && right && await sessions.open(credentials.accountId);
      if (!tokens) {
        throw new Problem("invalid-credentials", "handle and password do not match");
      }
      setPosition(c, []);
      return c.json(tokensAnswer(await accountAsKnown(services, credentials), tokens), 201);
    });
  });

  app.openapi({ ...refresh, middleware: anonymous(services) }, async (c) => {
    await rateLimits.session.take(c, clientAddress(c));
    return await idempotency.once(c, async () => {
      const refreshed = await sessions.refresh(c.req.valid("json").refreshToken);
      if (refreshed.outcome !== "rotated") {
        throw new Problem(
          "invalid-refresh-token",
          refreshed.outcome === "reused"
            ? "this refresh token was used before, so its session has ended: sign in again"
            : "this refresh token is not valid any more: sign in again",
        );
      }
      const { tokens } = refreshed;
      const credentials = await identity.credentials({ accountId: tokens.accountId });
      if (!credentials) throw new Error("a session without an account");
      setPosition(c, []);
      return c.json(tokensAnswer(await accountAsKnown(services, credentials), tokens), 201);
    });
  });

  app.openapi({ ...signOut, middleware: signedIn(services) }, async (c) => {
    await sessions.revoke(callerOf(c).sessionId);
    setPosition(c, []);
    return c.body(null, 204);
  });
}
