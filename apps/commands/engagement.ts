import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import {
  type Engagement,
  type EngagementCommand,
  engagementDecider,
  newComment,
} from "../../domain/engagement.ts";
import { id } from "../../domain/values.ts";
import { callerOf, type HttpContext, type HttpEnv } from "../../infra/http/env.ts";
import { anyProblem } from "../../infra/http/problem-schema.ts";
import { commentFacts, postFacts } from "../../projections/read-model/reads/decision-facts.ts";
import { accepted, append, awaited, contextOf, signedIn } from "./command.ts";
import { answer, bearer, body, headers, keyedHeaders, noContent, postPath } from "./definitions.ts";
import type { CommandServices } from "./services.ts";

const like = createRoute({
  method: "put",
  path: "/v1/posts/{postId}/like",
  summary: "Like a post",
  tags: ["engagement"],
  security: bearer,
  request: { headers, params: postPath },
  responses: noContent,
});

const unlike = createRoute({
  method: "delete",
  path: "/v1/posts/{postId}/like",
  summary: "Take a like back",
  tags: ["engagement"],
  security: bearer,
  request: { headers, params: postPath },
  responses: noContent,
});

const comment = createRoute({
  method: "post",
  path: "/v1/posts/{postId}/comments",
  summary: "Comment on a post",
  tags: ["engagement"],
  security: bearer,
  request: { headers: keyedHeaders, params: postPath, body: body(newComment) },
  responses: { 201: answer("Commented", z.object({ commentId: id })), default: anyProblem },
});

const removeComment = createRoute({
  method: "delete",
  path: "/v1/posts/{postId}/comments/{commentId}",
  summary: "Delete a comment of yours, or one on your post",
  tags: ["engagement"],
  security: bearer,
  request: { headers, params: postPath.extend({ commentId: id }) },
  responses: noContent,
});

export const engagementRoutes = [like, unlike, comment, removeComment];

export function mountEngagement(app: OpenAPIHono<HttpEnv>, services: CommandServices): void {
  const { sql } = services;

  const known = async (postId: string, actorId: string): Promise<Engagement> => {
    const look = () => postFacts(sql, postId, actorId);
    const facts = await awaited(services, { topic: "posts", key: postId }, look);
    return { ...engagementDecider.initialState, ...facts };
  };

  const carryOut = async (
    c: HttpContext,
    command: EngagementCommand,
    engagement: Engagement,
    nextId = services.newId,
  ) => {
    const decision = engagementDecider.decide(command, engagement, contextOf(services, nextId));
    await append(c, services, accepted(decision));
  };

  app.openapi({ ...like, middleware: signedIn(services) }, async (c) => {
    const { accountId: actorId } = callerOf(c);
    const { postId } = c.req.valid("param");
    await carryOut(c, { type: "Like", postId, actorId }, await known(postId, actorId));
    return c.body(null, 204);
  });

  app.openapi({ ...unlike, middleware: signedIn(services) }, async (c) => {
    const { accountId: actorId } = callerOf(c);
    const { postId } = c.req.valid("param");
    await carryOut(c, { type: "Unlike", postId, actorId }, await known(postId, actorId));
    return c.body(null, 204);
  });

  app.openapi(
    { ...comment, middleware: signedIn(services) },
    (c) =>
      services.idempotency.once(c, async (nextId) => {
        const { accountId: actorId } = callerOf(c);
        const { postId } = c.req.valid("param");
        const { text } = c.req.valid("json");
        const commentId = nextId();
        const command = { type: "AddComment", postId, actorId, commentId, text } as const;
        await carryOut(c, command, await known(postId, actorId), nextId);
        return c.json({ commentId }, 201);
      }),
  );

  app.openapi({ ...removeComment, middleware: signedIn(services) }, async (c) => {
    const { accountId: actorId } = callerOf(c);
    const { postId, commentId } = c.req.valid("param");
    const engagement = await known(postId, actorId);
    const look = () => commentFacts(sql, postId, commentId);
    const facts = await awaited(services, { topic: "engagement", key: postId }, look);
    const comments = new Map(facts?.authorId ? [[commentId, facts.authorId]] : []);
    const command = { type: "DeleteComment", postId, actorId, commentId } as const;
    await carryOut(c, command, { ...engagement, comments });
    return c.body(null, 204);
  });
}
