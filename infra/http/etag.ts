import { crc32 } from "node:zlib";
import type { HttpContext } from "./env.ts";

/**
 * Answers a GET with JSON text and its entity tag, or with 304 when the client has it already
 * (RFC 9110 §13.1.2). The tag is weak: length and CRC-32, a few microseconds for a page of a feed.
 *
 * @example
 * ```ts
 * app.get("/v1/feed", async (c) => jsonWithETag(c, await feedAsJsonText()));
 * ```
 */
export function jsonWithETag(c: HttpContext, json: string): Response {
  const etag = `W/"${json.length.toString(36)}-${crc32(json).toString(36)}"`;
  const headers = c.get("headers");
  headers["ETag"] = etag;
  headers["Cache-Control"] = "private, no-cache";
  if (matches(c.req.raw.headers.get("if-none-match"), etag)) {
    return new Response(null, { status: 304 });
  }
  return new Response(json, jsonAnswer);
}

const jsonAnswer = { headers: { "Content-Type": "application/json" } };

/** The weak comparison (RFC 9110 §8.8.3.2), since proxies that compress weaken a tag. */
function matches(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.split(",").some((candidate) => {
    const tag = candidate.trim();
    return tag === "*" || tag === etag || `W/${tag}` === etag;
  });
}
