import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { type FollowCommand, followDecider } from "../../domain/follow.ts";
import { callerOf, type HttpContext, type HttpEnv } from "../../infra/http/env.ts";
import { Problem } from "../../infra/http/problem.ts";
import { relationFacts } from "../../projections/read-model/reads/decision-facts.ts";
import { accepted, append, awaited, contextOf, signedIn } from "./command.ts";
import { accountPath, bearer, headers, noContent } from "./definitions.ts";
import type { CommandServices } from "./services.ts";

const common = {
  tags: ["follows"],
  security: bearer,
  request: { headers, params: accountPath },
  responses: noContent,
};

const follow = createRoute({
  ...common,
  method: "put",
  path: "/v1/accounts/{accountId}/follow",
  summary: "Follow an account",
});

const unfollow = createRoute({
  ...common,
  method: "delete",
  path: "/v1/accounts/{accountId}/follow",
  summary: "Follow an account no longer",
});

const block = createRoute({
  ...common,
  method: "put",
  path: "/v1/accounts/{accountId}/block",
  summary: "Block an account; neither follows the other any more",
});

const unblock = createRoute({
  ...common,
  method: "delete",
  path: "/v1/accounts/{accountId}/block",
  summary: "Block an account no longer",
});

export const followRoutes = [follow, unfollow, block, unblock];

export function mountFollows(app: OpenAPIHono<HttpEnv>, services: CommandServices): void {
  const { sql } = services;

  const carryOut = async (c: HttpContext, type: FollowCommand["type"], targetId: string) => {
    const { accountId: actorId } = callerOf(c);
    const look = () => relationFacts(sql, actorId, targetId);
    const facts = await awaited(services, { topic: "accounts", key: targetId }, look);
    const adds = type === "Follow" || type === "Block";
    // One may always let go of an account, closed as it may be.
    if (!facts || (facts.closed && adds)) {
      throw new Problem("account-not-found", "no such account");
    }
    const decider = followDecider(actorId);
    const command = { type, actorId, targetId };
    await append(
      c,
      services,
      accepted(decider.decide(command, facts.relation, contextOf(services))),
    );
    return c.body(null, 204);
  };

  const middleware = signedIn(services);
  app.openapi(
    { ...follow, middleware },
    (c) => carryOut(c, "Follow", c.req.valid("param").accountId),
  );
  app.openapi(
    { ...unfollow, middleware },
    (c) => carryOut(c, "Unfollow", c.req.valid("param").accountId),
  );
  app.openapi(
    { ...block, middleware },
    (c) => carryOut(c, "Block", c.req.valid("param").accountId),
  );
  app.openapi(
    { ...unblock, middleware },
    (c) => carryOut(c, "Unblock", c.req.valid("param").accountId),
  );
}
