import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { type Medium, originalKey } from "../../domain/media.ts";
import { id, uploadByteLength, uploadContentType } from "../../domain/values.ts";
import { callerOf, type HttpEnv } from "../../infra/http/env.ts";
import { setPosition } from "../../infra/http/positions.ts";
import { anyProblem } from "../../infra/http/problem-schema.ts";
import { mediumById } from "../../projections/read-model/reads/media.ts";
import { accepted, append, contextOf, signedIn } from "./command.ts";
import { completeUpload } from "./completion.ts";
import { answer, bearer, body, keyedHeaders } from "./definitions.ts";
import type { CommandServices } from "./services.ts";
import { SignedUploads, uploadLifetime } from "./signed-uploads.ts";

const sign = createRoute({
  method: "post",
  path: "/v1/media",
  summary: "Sign the upload of one photograph",
  description: "PUT exactly these bytes, with exactly these headers, to `upload.url`.",
  tags: ["media"],
  security: bearer,
  request: {
    headers: keyedHeaders,
    body: body(z.strictObject({ contentType: uploadContentType, byteLength: uploadByteLength })),
  },
  responses: {
    201: answer(
      "Where to upload it",
      z.object({
        mediaId: id,
        upload: z.object({
          method: z.literal("PUT"),
          url: z.url(),
          headers: z.record(z.string(), z.string()),
          expiresAt: z.iso.datetime(),
        }),
      }),
    ),
    default: anyProblem,
  },
});

const complete = createRoute({
  method: "post",
  path: "/v1/media/{mediaId}/complete",
  summary: "Say that an upload is done",
  tags: ["media"],
  security: bearer,
  request: { headers: keyedHeaders, params: z.object({ mediaId: id }) },
  responses: {
    202: answer(
      "Its variants are being made, or have been",
      z.object({ mediaId: id, status: z.enum(["processing", "ready", "rejected"]) }),
    ),
    default: anyProblem,
  },
});

export const mediaRoutes = [sign, complete];

export function mountMedia(app: OpenAPIHono<HttpEnv>, services: CommandServices): void {
  const { idempotency, sql, store } = services;
  const signedUploads = new SignedUploads(services.log);

  // Any header will do: to have them checked would cost more than to sign.
  app.openapi(
    { ...sign, request: { body: sign.request.body }, middleware: signedIn(services) },
    (c) =>
      idempotency.once(c, async (nextId) => {
        const { contentType, byteLength } = c.req.valid("json");
        const mediaId = nextId();
        const { accountId: ownerId } = callerOf(c);
        // That it was signed is durable before the client can use it, so no upload is overlooked.
        const [{ url, headers, expiresAt }] = await Promise.all([
          store.presignPut({
            key: originalKey(ownerId, mediaId),
            contentType,
            byteLength,
            expiresInSeconds: uploadLifetime,
          }),
          signedUploads.note({ mediaId, ownerId }),
        ]);
        setPosition(c, []);
        const upload = { method: "PUT" as const, url, headers, expiresAt: expiresAt.toISOString() };
        return c.json({ mediaId, upload }, 201);
      }),
  );

  app.openapi(
    { ...complete, middleware: signedIn(services) },
    (c) =>
      idempotency.once(c, async (nextId) => {
        const { mediaId } = c.req.valid("param");
        const { accountId: ownerId } = callerOf(c);
        const known = mediumById(sql, mediaId).then((medium): Medium["status"] =>
          // Another's medium is none: this account's key to it holds nothing.
          medium?.owner_id === ownerId ? medium.status : "unknown"
        );
        const events = accepted(
          await completeUpload({ mediaId, ownerId }, known, store, contextOf(services, nextId)),
        );
        const status = await known;
        if (status === "ready" || status === "rejected") {
          setPosition(c, []);
          return c.json({ mediaId, status }, 202);
        }
        await append(c, services, events);
        return c.json({ mediaId, status: "processing" as const }, 202);
      }),
  );
}
