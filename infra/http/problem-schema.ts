import { z } from "@hono/zod-openapi";
import { problemMediaType, problems } from "./problem.ts";

const schema = z.object({
  type: z.string().openapi({ example: "/problems/post-not-found" }),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  instance: z.string().openapi({ description: "The request's id" }),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional()
    .openapi({ description: "What is wrong with the body or the query, and where" }),
}).openapi("Problem", {
  description: `RFC 9457. The last part of \`type\` is one of ${Object.keys(problems).join(", ")}.`,
});

/**
 * What any route may answer instead of its own, for its definition.
 *
 * @example
 * ```ts
 * createRoute({ method: "get", path: "/v1/feed", responses: { 200: feed, default: anyProblem } });
 * ```
 */
export const anyProblem = {
  description: "A problem document",
  content: { [problemMediaType]: { schema } },
};
