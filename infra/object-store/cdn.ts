import { isKey } from "./key.ts";
import type { LocalStore } from "./local.ts";
import type { ObjectHead } from "./port.ts";
import { parseRange } from "./range.ts";

/**
 * What a CDN in front of the bucket does, for a server to mount at `pathPrefix` (`/cdn`): serves
 * `variants/` to anyone, whole or a single range of it, to be kept for ever. Their keys carry a hash
 * of their bytes, so what lies at a URL never changes. Whatever else is asked for is not there.
 * @throws {StoreUnavailable} when the disk fails.
 */
export function cdnHandler(
  store: LocalStore,
  pathPrefix: string,
): (request: Request) => Promise<Response> {
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return problem(405, "Method Not Allowed", { allow: "GET, HEAD" });
    }
    const key = variantKey(request.url, `${pathPrefix}/`);
    const object = key === undefined ? undefined : await store.open(key);
    if (!object) return problem(404, "Not Found");

    const { head } = object;
    const headers = variantHeaders(head);
    if (matches(request.headers.get("if-none-match"), head.etag)) {
      object.close();
      return new Response(null, { status: 304, headers });
    }
    const range = request.method === "GET" ? requestedRange(request.headers, head) : undefined;
    if (range === "unsatisfiable") {
      object.close();
      return problem(416, "Range Not Satisfiable", {
        "content-range": `bytes */${head.byteLength}`,
      });
    }
    const { start, end } = range ?? { start: 0, end: head.byteLength };
    headers.set("content-type", head.contentType);
    headers.set("content-length", String(end - start));
    if (range) headers.set("content-range", `bytes ${start}-${end - 1}/${head.byteLength}`);
    const status = range ? 206 : 200;
    if (request.method === "GET") return new Response(object.read(start, end), { status, headers });
    object.close();
    return new Response(null, { status, headers });
  };
}

/** The path as it was sent: `new URL` would resolve `..` into another one. */
function variantKey(url: string, prefix: string): string | undefined {
  const path = /^[a-z]+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] ?? "";
  if (!path.startsWith(prefix)) return undefined;
  try {
    const key = decodeURIComponent(path.slice(prefix.length));
    return key.startsWith("variants/") && isKey(key) ? key : undefined;
  } catch {
    return undefined;
  }
}

function variantHeaders(head: ObjectHead): Headers {
  return new Headers({
    "accept-ranges": "bytes",
    "access-control-allow-origin": "*",
    "cache-control": "public, max-age=31536000, immutable",
    "cross-origin-resource-policy": "cross-origin",
    etag: head.etag,
    "x-content-type-options": "nosniff",
  });
}

/** A range of another version than `If-Range` names is of no use: all is sent instead. */
function requestedRange(headers: Headers, { etag, byteLength }: ObjectHead) {
  const header = headers.get("range");
  const condition = headers.get("if-range");
  if (header === null || (condition !== null && condition !== etag)) return undefined;
  return parseRange(header, byteLength);
}

/** If-None-Match compares weakly (RFC 9110, section 13.1.2). */
function matches(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.trim() === "*" ||
    header.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === etag);
}

/** RFC 9457; not to be kept, since a variant that is not there yet may come. */
function problem(status: number, title: string, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify({ type: "about:blank", title, status }), {
    status,
    headers: {
      ...headers,
      "access-control-allow-origin": "*",
      "cache-control": "no-store",
      "content-type": "application/problem+json",
    },
  });
}
