import { IncompleteBody } from "./file.ts";
import { isKey } from "./key.ts";
import type { LocalStore } from "./local.ts";
import { S3Error } from "./s3-error.ts";
import { decode, verifyPresigned } from "./sigv4.ts";

/** S3's limits for one PUT. */
const maximumByteLength = 5 * 1024 ** 3;
const longestContentType = 255;

/**
 * Any page may upload: the signature is what authorises, and no cookie is looked at, so an origin
 * says nothing (https://fetch.spec.whatwg.org/#http-cors-protocol).
 */
const cors = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "ETag",
};

/**
 * The part of S3 that clients speak themselves, for a server to mount at the store's `endpoint`: a
 * presigned PUT below `originals/`, and the preflight browsers send before it. Everything else is
 * refused as S3 refuses, reads of originals above all. Bodies go to disk as they come.
 *
 * A presigned URL may be used again until it expires, and then overwrites: see `presignPut`.
 * @throws {StoreUnavailable} when the disk fails.
 */
export function localEndpoint(store: LocalStore): (request: Request) => Promise<Response> {
  const { endpoint, bucket } = store.options;
  const mount = `${new URL(endpoint).pathname.replace(/\/$/, "")}/${bucket}/`;
  return async (request) => {
    try {
      if (request.method === "OPTIONS") return preflight(request);
      const etag = await put(store, mount, request);
      return new Response(null, { status: 200, headers: { ...cors, etag } });
    } catch (error) {
      if (error instanceof S3Error) return error.toResponse(cors);
      if (!(error instanceof IncompleteBody)) throw error;
      const message = "You did not provide the number of bytes specified by the Content-Length.";
      return new S3Error(400, "IncompleteBody", message).toResponse(cors);
    }
  };
}

function preflight(request: Request): Response {
  const headers = (request.headers.get("access-control-request-headers") ?? "")
    .split(",").map((name) => name.trim().toLowerCase()).filter((name) => name !== "");
  const method = request.headers.get("access-control-request-method");
  if (method !== "PUT" || headers.some((name) => name !== "content-type")) {
    throw new S3Error(403, "AccessForbidden", "CORSResponse: This CORS request is not allowed.");
  }
  return new Response(null, {
    status: 204,
    headers: {
      ...cors,
      "access-control-allow-methods": "PUT",
      "access-control-allow-headers": "content-type",
      "access-control-max-age": "86400",
    },
  });
}

/** Stores the body and answers its entity tag. Nothing is read of it before all else is checked. */
async function put(store: LocalStore, mount: string, request: Request): Promise<string> {
  const denied = new S3Error(403, "AccessDenied", "Access Denied");
  if (request.method !== "PUT") throw denied;
  const { path, query, host } = splitUrl(request.url);
  const headers = new Headers(request.headers);
  if (!headers.has("host")) headers.set("host", host);
  const length = headers.get("content-length");
  if (length === null || !/^\d+$/.test(length)) {
    throw new S3Error(411, "MissingContentLength", "You must provide the Content-Length header.");
  }
  verifyPresigned(
    { method: request.method, path, query, headers },
    store.options,
    store.options.now(),
  );

  const decoded = decode(path);
  const key = decoded.slice(mount.length);
  if (!decoded.startsWith(mount) || !key.startsWith("originals/") || !isKey(key)) throw denied;
  const byteLength = Number(length);
  if (byteLength > maximumByteLength) {
    throw new S3Error(400, "EntityTooLarge", "Your proposed upload exceeds 5 GiB.");
  }
  const contentType = headers.get("content-type") ?? "binary/octet-stream";
  if (contentType.length > longestContentType) {
    throw new S3Error(400, "InvalidArgument", "The Content-Type is too long.");
  }
  const body = request.body ?? ReadableStream.from<Uint8Array>([]);
  const { etag } = await store.receive(key, body, { contentType, byteLength });
  return etag;
}

/** By hand, since `new URL` resolves `..` away, and what was signed is what was sent. */
function splitUrl(url: string): { host: string; path: string; query: string } {
  const [, host = "", path = "", query = ""] =
    /^[a-z]+:\/\/([^/?#]*)([^?#]*)\??([^#]*)/.exec(url) ?? [];
  return { host, path, query };
}
