import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { accountDecider, profileChange, registration } from "../../domain/account.ts";
import { originalKey } from "../../domain/media.ts";
import { encodeEvent } from "../../infra/event-log/codec.ts";
import { callerOf, clientAddress, type HttpEnv } from "../../infra/http/env.ts";
import { setPosition } from "../../infra/http/positions.ts";
import { Problem } from "../../infra/http/problem.ts";
import { anyProblem } from "../../infra/http/problem-schema.ts";
import { account } from "../queries/schemas.ts";
import { password } from "../../infra/identity/passwords.ts";
import { sealWith } from "../../infra/identity/sealing.ts";
import { traceparent } from "../../infra/telemetry/tracing.ts";
import { mediumById } from "../../projections/read-model/reads/media.ts";
import { accountAnswerOf, accountAsKnown } from "./account-answer.ts";
import { accepted, anonymous, append, contextOf, signedIn } from "./command.ts";
import { answer, bearer, body, headers, keyedHeaders, noContent } from "./definitions.ts";
import type { CommandServices } from "./services.ts";
import { signedInAnswer, tokensAnswer } from "./sessions.ts";

const register = createRoute({
  method: "post",
  path: "/v1/accounts",
  summary: "Open an account",
  tags: ["accounts"],
  request: {
    headers: keyedHeaders,
    body: body(z.strictObject({ ...registration.shape, password })),
  },
  responses: { 201: answer("The account, signed in", signedInAnswer), default: anyProblem },
});

const changeProfile = createRoute({
  method: "patch",
  path: "/v1/me",
  summary: "Change your profile",
  tags: ["accounts"],
  security: bearer,
  request: { headers, body: body(profileChange) },
  responses: {
    200: answer("The account as it will be", z.object({ account })),
    default: anyProblem,
  },
});

const close = createRoute({
  method: "delete",
  path: "/v1/me",
  summary: "Close your account for good and erase what you wrote",
  tags: ["accounts"],
  security: bearer,
  request: { headers, body: body(z.strictObject({ password })) },
  responses: noContent,
});

export const accountRoutes = [register, changeProfile, close];

export function mountAccounts(app: OpenAPIHono<HttpEnv>, services: CommandServices): void {
  const { identity, outbox, passwords, rateLimits, sealer, sessions, store } = services;

  app.openapi({ ...register, middleware: anonymous(services) }, async (c) => {
    await rateLimits.registration.take(c, clientAddress(c));
    return await services.idempotency.once(c, async (nextId) => {
      const { handle, displayName, password } = c.req.valid("json");
      const accountId = nextId();
      const command = { type: "Register", accountId, handle, displayName } as const;
      const decision = accountDecider.decide(
        command,
        accountDecider.initialState,
        contextOf(services, nextId),
      );
      const taken = () => new Problem("handle-taken", "another account has this handle");
      const holder = await identity.credentials({ handle });
      // Only spares the hash: it is `register` that keeps handles unique.
      if (holder && holder.accountId !== accountId) throw taken();
      const passwordHash = await passwords.hash(password);
      for (const event of accepted(decision)) {
        const outcome = await identity.register({
          accountId,
          handle,
          passwordHash,
          record: (key) => encodeEvent(event, sealWith(key, accountId), traceparent()),
        });
        if (outcome === "handle-taken") throw taken();
        const caused = { topic: "accounts", key: accountId, eventId: event.id };
        setPosition(c, [await outbox.deliver(caused)]);
      }
      const account = accountAnswerOf({
        account_id: accountId,
        handle,
        display_name: displayName ?? null,
      });
      const tokens = await sessions.open(accountId);
      if (!tokens) throw new Problem("account-closed", "this account is closed");
      return c.json(tokensAnswer(account, tokens), 201);
    });
  });

  app.openapi({ ...changeProfile, middleware: signedIn(services) }, async (c) => {
    const { accountId } = callerOf(c);
    const change = c.req.valid("json");
    const { avatarMediaId } = change;
    const avatarUploaded = typeof avatarMediaId === "string" &&
      await store.head(originalKey(accountId, avatarMediaId)) !== undefined;
    const events = accepted(accountDecider.decide(
      { type: "ChangeProfile", accountId, change, avatarUploaded },
      { status: "open", accountId },
      contextOf(services),
    ));
    const credentials = await identity.credentials({ accountId });
    const before = await accountAsKnown(services, {
      accountId,
      handle: credentials?.handle ?? accountId,
    });
    await append(c, services, events);
    const { avatar, ...rest } = before;
    const account = {
      ...rest,
      ...(change.displayName !== undefined && { displayName: change.displayName }),
      ...(change.bio !== undefined && { bio: change.bio }),
    };
    if (avatarMediaId === undefined) return c.json({ account: { ...account, avatar } }, 200);
    const medium = avatarMediaId === null
      ? undefined
      : await mediumById(services.sql, avatarMediaId);
    const ready = medium?.status === "ready" ? JSON.parse(medium.manifest) : undefined;
    return c.json({ account: { ...account, avatar: ready } }, 200);
  });

  app.openapi({ ...close, middleware: signedIn(services) }, async (c) => {
    const { accountId, sessionId } = callerOf(c);
    await rateLimits.signIn.take(c, accountId);
    const credentials = await identity.credentials({ accountId });
    const { password } = c.req.valid("json");
    if (!await passwords.verify(credentials?.passwordHash, password)) {
      throw new Problem("invalid-credentials", "the password is not right");
    }
    const events = accepted(accountDecider.decide(
      { type: "Close", accountId },
      { status: "open", accountId },
      contextOf(services),
    ));
    for (const event of events) {
      await identity.close(accountId, await encodeEvent(event, sealer, traceparent()));
      sealer.forget(accountId);
      await sessions.revoke(sessionId);
      const caused = { topic: "accounts", key: accountId, eventId: event.id };
      setPosition(c, [await outbox.deliver(caused)]);
    }
    return c.body(null, 204);
  });
}
