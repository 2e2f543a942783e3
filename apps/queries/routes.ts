import { createRoute, z } from "@hono/zod-openapi";
import { problemMediaType } from "../../infra/http/problem.ts";
import { pageQuery } from "./page-query.ts";
import { account, card, comment, media, pageOf, profile } from "./schemas.ts";

/** Every query, as `/openapi.json` describes it. What answers them is in `queries.ts`. */

const headers = z.object({
  "Await-Position": z.string().optional()
    .openapi({ description: "The Position of a command: waits for it, two seconds at most" }),
  "If-None-Match": z.string().optional(),
});
const signedIn = [{ bearer: [] }];
/** Readable by anyone; what concerns the viewer is false for those who are not signed in. */
const anyone: Record<string, string[]>[] = [{ bearer: [] }, {}];
const problem = (description: string) => ({
  description,
  content: { [problemMediaType]: { schema: z.object({ type: z.string(), title: z.string() }) } },
});
const unauthenticated = problem("The access token is missing or not valid");
const notFound = problem("There is no such thing, or not for this viewer");
const invalidQuery = problem("limit or cursor is not right");
const json = (description: string, schema: z.ZodType) => ({
  description,
  content: { "application/json": { schema } },
});
const postParams = z.object({ postId: z.uuid() });
const accountParams = z.object({ accountId: z.uuid() });

export const getMe = createRoute({
  method: "get",
  path: "/v1/me",
  summary: "The account that is signed in",
  tags: ["accounts"],
  security: signedIn,
  request: { headers },
  responses: {
    200: json("The account", z.object({ account })),
    401: unauthenticated,
    503: problem("The account is so new that it is not known here yet: try again"),
  },
});

export const getFeed = createRoute({
  method: "get",
  path: "/v1/feed",
  summary: "Posts of the accounts you follow, newest first",
  tags: ["feed"],
  security: signedIn,
  request: { headers, query: pageQuery },
  responses: { 200: json("A page", pageOf(card)), 400: invalidQuery, 401: unauthenticated },
});

export const getPost = createRoute({
  method: "get",
  path: "/v1/posts/{postId}",
  summary: "One post",
  tags: ["posts"],
  security: anyone,
  request: { headers, params: postParams },
  responses: { 200: json("The post", card), 404: notFound },
});

export const getComments = createRoute({
  method: "get",
  path: "/v1/posts/{postId}/comments",
  summary: "A post's comments, newest first",
  tags: ["posts"],
  security: anyone,
  request: { headers, params: postParams, query: pageQuery },
  responses: { 200: json("A page", pageOf(comment)), 400: invalidQuery, 404: notFound },
});

export const getLikes = createRoute({
  method: "get",
  path: "/v1/posts/{postId}/likes",
  summary: "Who likes a post, the newest like first",
  tags: ["posts"],
  security: anyone,
  request: { headers, params: postParams, query: pageQuery },
  responses: { 200: json("A page", pageOf(account)), 400: invalidQuery, 404: notFound },
});

export const getProfile = createRoute({
  method: "get",
  path: "/v1/accounts/{idOrHandle}",
  summary: "An account by id, or by handle in whatever case",
  tags: ["accounts"],
  security: anyone,
  request: { headers, params: z.object({ idOrHandle: z.string() }) },
  responses: { 200: json("The account", profile), 404: notFound },
});

export const getAccountPosts = createRoute({
  method: "get",
  path: "/v1/accounts/{accountId}/posts",
  summary: "An account's posts, newest first",
  tags: ["accounts"],
  security: anyone,
  request: { headers, params: accountParams, query: pageQuery },
  responses: { 200: json("A page", pageOf(card)), 400: invalidQuery, 404: notFound },
});

export const getFollowers = createRoute({
  method: "get",
  path: "/v1/accounts/{accountId}/followers",
  summary: "Who follows an account, the newest follow first",
  tags: ["accounts"],
  security: anyone,
  request: { headers, params: accountParams, query: pageQuery },
  responses: { 200: json("A page", pageOf(account)), 400: invalidQuery, 404: notFound },
});

export const getFollowing = createRoute({
  method: "get",
  path: "/v1/accounts/{accountId}/following",
  summary: "Whom an account follows, the newest follow first",
  tags: ["accounts"],
  security: anyone,
  request: { headers, params: accountParams, query: pageQuery },
  responses: { 200: json("A page", pageOf(account)), 400: invalidQuery, 404: notFound },
});

export const getMedia = createRoute({
  method: "get",
  path: "/v1/media/{mediaId}",
  summary: "A medium: for anyone once it is ready, for its owner before",
  tags: ["media"],
  security: anyone,
  request: { headers, params: z.object({ mediaId: z.uuid() }) },
  responses: { 200: json("The medium", media), 404: notFound },
});
