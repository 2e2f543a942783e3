import type { MiddlewareHandler } from "hono";
import type { HttpEnv } from "./env.ts";
import { Problem } from "./problem.ts";

/** Bytes of a JSON body when nothing else is said. */
export const maximumBodyBytes = 64 * 1024;
/** Arrays and objects within one another. */
const maximumDepth = 32;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const mediaType = /^application\/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

/**
 * Reads the body for the validators behind it: only `application/json` (else 415), at most
 * `maximumBytes` of it, counted as they stream in (413), in strict UTF-8 (400 `invalid-utf8`), not
 * nested deeper than 32 (400 `invalid-json`). Whether it is JSON is found by the validator (400
 * `invalid-json`), whether it fits the route's schema too (422 `invalid-body`).
 *
 * @example
 * ```ts
 * app.openapi({ ...createPost, middleware: [jsonBody()] }, (c) => {
 *   const { caption } = c.req.valid("json");
 * });
 * ```
 */
export function jsonBody(maximumBytes = maximumBodyBytes): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const bytes = await bodyOf(c.req.raw, maximumBytes);
    if (bytes) {
      const text = decodeUtf8(bytes);
      if (text !== "") {
        if (!mediaType.test(c.req.header("content-type") ?? "")) {
          throw new Problem("unsupported-media-type", "send Content-Type: application/json");
        }
        assertShallow(text);
      }
      // Where Hono keeps what it has read: promises, whatever its types say.
      Object.assign(c.req.bodyCache, { text: Promise.resolve(text) });
    }
    await next();
  };
}

/**
 * Undefined where there is none. One that says how long it is comes in one piece, which no stream has
 * to be made for: 15 µs.
 */
async function bodyOf(request: Request, maximumBytes: number): Promise<Uint8Array | undefined> {
  const announced = Number(request.headers.get("content-length") ?? NaN);
  if (announced <= maximumBytes) {
    const bytes = await request.bytes();
    if (bytes.length > maximumBytes) throw tooLarge(maximumBytes);
    return bytes;
  }
  const { body } = request;
  if (!body) return undefined;
  if (announced > maximumBytes) {
    await body.cancel();
    throw tooLarge(maximumBytes);
  }
  return await readAll(body, maximumBytes);
}

function tooLarge(maximumBytes: number): Problem {
  return new Problem("body-too-large", `at most ${maximumBytes} bytes are read`);
}

async function readAll(
  body: ReadableStream<Uint8Array>,
  maximumBytes: number,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    // Leaving the loop cancels the stream.
    if (length > maximumBytes) throw tooLarge(maximumBytes);
    chunks.push(chunk);
  }
  if (chunks.length === 1 && chunks[0]) return chunks[0];
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new Problem("invalid-utf8", "the body holds bytes that are not UTF-8");
  }
}

function assertShallow(json: string): void {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < json.length; index++) {
    const character = json.charCodeAt(index);
    if (inString) {
      if (character === 0x5c /* \ */) index++;
      else if (character === 0x22 /* " */) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x7b /* { */ || character === 0x5b /* [ */) {
      if (++depth > maximumDepth) {
        throw new Problem("invalid-json", `the body is nested deeper than ${maximumDepth}`);
      }
    } else if (character === 0x7d /* } */ || character === 0x5d /* ] */) depth--;
  }
}
