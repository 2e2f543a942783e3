import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { ObjectHead, ObjectHeaders } from "./port.ts";

/**
 * An object in one file, so that its bytes and what is known of them are renamed into place
 * together: the bytes from offset 0 (any viewer opens it), then a trailer of `trailerLength` bytes,
 * JSON padded with spaces. Its modification time is the file's.
 */
export const trailerLength = 1024;
const version = 1;
const chunkLength = 64 * 1024;

interface Trailer {
  readonly version: number;
  readonly etag: string;
  readonly contentType: string;
  readonly cacheControl?: string;
}

/** The body ended before its declared length, went on after it, or broke off. */
export class IncompleteBody extends Error {
  override readonly name = "IncompleteBody";
}

/**
 * Writes a new file and makes it durable. Memory is bounded by one chunk of the body.
 * @throws {IncompleteBody} when the body is not exactly `byteLength` bytes. The file is the caller's
 * to remove then.
 */
export async function writeObject(
  path: string,
  body: AsyncIterable<Uint8Array>,
  object: ObjectHeaders & { byteLength: number; modifiedAt: Date },
): Promise<ObjectHead> {
  const { byteLength, contentType, cacheControl, modifiedAt } = object;
  using file = await Deno.open(path, { write: true, createNew: true });
  const md5 = createHash("md5");
  let written = 0;
  for await (const chunk of readable(body)) {
    written += chunk.length;
    if (written > byteLength) throw new IncompleteBody(`more than ${byteLength} bytes`);
    md5.update(chunk);
    await writeAll(file, chunk);
  }
  if (written < byteLength) throw new IncompleteBody(`${written} of ${byteLength} bytes`);
  const etag = `"${md5.digest("hex")}"`;
  const trailer: Trailer = { version, etag, contentType, ...(cacheControl && { cacheControl }) };
  await writeAll(file, encodeTrailer(trailer));
  await file.utime(modifiedAt, modifiedAt);
  await file.sync();
  return { byteLength, contentType, etag, ...(cacheControl && { cacheControl }), modifiedAt };
}

/** An open object: what is read through it is one object throughout, also when it is replaced. */
export interface OpenObject {
  readonly head: ObjectHead;
  /**
   * The bytes from `start` up to `end`, exclusive. May be called once; closes the object at the end,
   * on an error or when cancelled.
   */
  read(start: number, end: number): ReadableStream<Uint8Array<ArrayBuffer>>;
  close(): void;
}

/** Undefined when there is no such file. */
export async function openObject(path: string): Promise<OpenObject | undefined> {
  const file = await ifFound(Deno.open(path));
  if (!file) return undefined;
  try {
    const { size, mtime } = await file.stat();
    const byteLength = size - trailerLength;
    if (byteLength < 0 || !mtime) throw new Error(`${path} is not an object's file`);
    await file.seek(byteLength, Deno.SeekMode.Start);
    const trailer = decodeTrailer(await readExactly(file, trailerLength));
    const { etag, contentType, cacheControl } = trailer;
    const head = { byteLength, contentType, etag, cacheControl, modifiedAt: mtime };
    return {
      head,
      read: (start, end) => readRange(file, start, end),
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** A file system's answer, undefined when what was asked for is not there. */
export async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A sender that vanishes is told apart from a disk that fails. */
async function* readable(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  const next = () =>
    chunks.next().catch((error) => {
      throw new IncompleteBody("the body broke off", { cause: error });
    });
  try {
    for (let result = await next(); !result.done; result = await next()) yield result.value;
  } finally {
    await chunks.return?.();
  }
}

function readRange(
  file: Deno.FsFile,
  start: number,
  end: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let left = end - start;
  return new ReadableStream({
    async start(controller) {
      try {
        if (left > 0) return void await file.seek(start, Deno.SeekMode.Start);
        controller.close();
      } catch (error) {
        file.close();
        throw error;
      }
      file.close();
    },
    async pull(controller) {
      try {
        const chunk = new Uint8Array(Math.min(left, chunkLength));
        const count = await file.read(chunk);
        if (count === null) throw new Error("the object's file ended early");
        controller.enqueue(chunk.subarray(0, count));
        left -= count;
        if (left > 0) return;
        file.close();
        controller.close();
      } catch (error) {
        file.close();
        throw error;
      }
    },
    cancel: () => file.close(),
  });
}

function encodeTrailer(trailer: Trailer): Uint8Array {
  const json = Buffer.from(JSON.stringify(trailer));
  if (json.length > trailerLength) throw new RangeError("the object's headers are too long");
  return Buffer.concat([json, Buffer.alloc(trailerLength - json.length, " ")]);
}

function decodeTrailer(bytes: Uint8Array): Trailer {
  const trailer: Trailer = JSON.parse(new TextDecoder().decode(bytes));
  if (trailer.version !== version) throw new Error(`unknown object file ${trailer.version}`);
  return trailer;
}

async function readExactly(file: Deno.FsFile, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let read = 0; read < length;) {
    const count = await file.read(bytes.subarray(read));
    if (count === null) throw new Error("the object's file ended early");
    read += count;
  }
  return bytes;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await file.write(bytes.subarray(written));
  }
}
