import { z } from "@hono/zod-openapi";
import { anyProblem } from "../../infra/http/problem-schema.ts";
import { id } from "../../domain/values.ts";

/** What the definitions of command routes have in common. */

const position = {
  Position: {
    schema: { type: "string" as const },
    description: "Where in the log this lies: send it back as Await-Position to read your writes.",
  },
};

const awaitPosition = z.string().optional().openapi({
  description: "A Position to wait for, two seconds at most.",
});

export const headers = z.object({ "Await-Position": awaitPosition });

/** Of a POST. */
export const keyedHeaders = z.object({
  "Await-Position": awaitPosition,
  "Idempotency-Key": z.string().optional().openapi({
    description: "1 to 255 visible ASCII characters: a retry under the same key happens once.",
  }),
});

export function json<Schema extends z.ZodType>(schema: Schema) {
  return { "application/json": { schema } };
}

export function body<Schema extends z.ZodType>(schema: Schema) {
  return { content: json(schema), required: true };
}

export function answer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, headers: position, content: json(schema) };
}

export const noContent = { 204: { description: "Done", headers: position }, default: anyProblem };

export const postPath = z.object({ postId: id });
export const accountPath = z.object({ accountId: id });

/** The name of the bearer scheme in the OpenAPI document. */
export const bearer = [{ bearer: [] }];
