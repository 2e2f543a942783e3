import { crc32 } from "node:zlib";
import type { HttpContext } from "./env.ts";

/** JSON text, and a number that is another when the text is. */
export interface TaggedJson {
  readonly json: string;
  readonly tag: number;
  /** Whether this very object will be answered again. */
  readonly lasting?: boolean;
}

/** Tags a text by its CRC-32: some microseconds for a page of a feed. */
export function tagged(json: string): TaggedJson {
  return { json, tag: crc32(json) };
}

/** A weak entity tag (RFC 9110 §8.8.3), of length and tag. */
export function etagOf({ json, tag }: TaggedJson): string {
  return `W/"${json.length.toString(36)}-${(tag >>> 0).toString(36)}"`;
}

/** What may be stored of an answer, and how: it is one client's, and to be asked for again. */
export const cacheControl = "private, no-cache";

/**
 * Answers a GET with JSON text and its entity tag, or with 304 when the client has it already
 * (RFC 9110 §13.1.2).
 *
 * @example
 * ```ts
 * app.get("/v1/feed", async (c) => jsonWithETag(c, tagged(await feedAsJsonText())));
 * ```
 */
export function jsonWithETag(c: HttpContext, answer: TaggedJson): Response {
  const etag = etagOf(answer);
  const headers = c.get("headers");
  headers["ETag"] = etag;
  headers["Cache-Control"] = cacheControl;
  if (matches(c.req.raw.headers.get("if-none-match"), etag)) {
    return new Response(null, { status: 304 });
  }
  return new Response(answer.json, jsonAnswer);
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
