import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { originalKey } from "../../domain/media.ts";
import { captionChange, newPost, postDecider } from "../../domain/post.ts";
import { id } from "../../domain/values.ts";
import { callerOf, type HttpEnv } from "../../infra/http/env.ts";
import { anyProblem } from "../../infra/http/problem-schema.ts";
import { postFacts } from "../../projections/read-model/reads/decision-facts.ts";
import { accepted, append, awaited, contextOf, signedIn } from "./command.ts";
import { answer, bearer, body, headers, keyedHeaders, noContent, postPath } from "./definitions.ts";
import type { CommandServices } from "./services.ts";

const create = createRoute({
  method: "post",
  path: "/v1/posts",
  summary: "Post one to ten photographs",
  tags: ["posts"],
  security: bearer,
  request: { headers: keyedHeaders, body: body(newPost) },
  responses: { 201: answer("Posted", z.object({ postId: id })), default: anyProblem },
});

const changeCaption = createRoute({
  method: "patch",
  path: "/v1/posts/{postId}",
  summary: "Change the caption of a post of yours",
  tags: ["posts"],
  security: bearer,
  request: { headers, params: postPath, body: body(captionChange) },
  responses: noContent,
});

const remove = createRoute({
  method: "delete",
  path: "/v1/posts/{postId}",
  summary: "Delete a post of yours",
  tags: ["posts"],
  security: bearer,
  request: { headers, params: postPath },
  responses: noContent,
});

export const postRoutes = [create, changeCaption, remove];

export function mountPosts(app: OpenAPIHono<HttpEnv>, services: CommandServices): void {
  const { idempotency, sql, store } = services;

  app.openapi(
    { ...create, middleware: signedIn(services) },
    (c) =>
      idempotency.once(c, async (nextId) => {
        const { accountId: actorId } = callerOf(c);
        const post = c.req.valid("json");
        const heads = await Promise.all(
          post.mediaIds.map((mediaId) => store.head(originalKey(actorId, mediaId))),
        );
        const uploaded = new Set(post.mediaIds.filter((_, nth) => heads[nth] !== undefined));
        const postId = nextId();
        await append(
          c,
          services,
          accepted(postDecider.decide(
            { type: "CreatePost", postId, actorId, post, uploaded },
            postDecider.initialState,
            contextOf(services, nextId),
          )),
        );
        return c.json({ postId }, 201);
      }),
  );

  const known = async (postId: string, actorId: string) => {
    const look = () => postFacts(sql, postId, actorId);
    const facts = await awaited(services, { topic: "posts", key: postId }, look);
    return facts?.post ?? postDecider.initialState;
  };

  app.openapi({ ...changeCaption, middleware: signedIn(services) }, async (c) => {
    const { accountId: actorId } = callerOf(c);
    const { postId } = c.req.valid("param");
    const { caption } = c.req.valid("json");
    await append(
      c,
      services,
      accepted(postDecider.decide(
        { type: "ChangeCaption", postId, actorId, caption },
        await known(postId, actorId),
        contextOf(services),
      )),
    );
    return c.body(null, 204);
  });

  app.openapi({ ...remove, middleware: signedIn(services) }, async (c) => {
    const { accountId: actorId } = callerOf(c);
    const { postId } = c.req.valid("param");
    await append(
      c,
      services,
      accepted(postDecider.decide(
        { type: "DeletePost", postId, actorId, cause: "author" },
        await known(postId, actorId),
        contextOf(services),
      )),
    );
    return c.body(null, 204);
  });
}
