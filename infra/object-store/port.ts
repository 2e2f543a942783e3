/**
 * An S3-speaking store with one bucket: `originals/` private, `variants/` public behind the CDN.
 */
export interface ObjectStore {
  /**
   * A URL to which exactly one PUT of exactly these bytes' count and type is allowed until it
   * expires (AWS Signature Version 4, query parameters; `content-length` and `content-type` signed).
   * `headers` must be sent with the PUT as they stand.
   */
  presignPut(object: {
    key: string;
    contentType: string;
    byteLength: number;
    expiresInSeconds: number;
  }): Promise<PresignedPut>;
  /** Undefined when there is no such object. */
  head(key: string): Promise<ObjectHead | undefined>;
  /** A stream of the bytes; undefined when there is no such object. */
  get(key: string): Promise<{ head: ObjectHead; body: ReadableStream<Uint8Array> } | undefined>;
  /** Atomic: readers see all of it or nothing. Overwrites. */
  put(key: string, body: Uint8Array, headers: ObjectHeaders): Promise<void>;
  /** Deleting what is not there succeeds. */
  delete(keys: readonly string[]): Promise<void>;
  /** In key order. */
  list(prefix: string): AsyncIterable<{ key: string; byteLength: number; modifiedAt: Date }>;
  /** Resolves when the store answers; rejects otherwise. */
  check(): Promise<void>;
  close(): Promise<void>;
}

export interface PresignedPut {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly expiresAt: Date;
}

export interface ObjectHead {
  readonly byteLength: number;
  readonly contentType: string;
  /** With its quotes, as in the ETag header. */
  readonly etag: string;
  readonly cacheControl?: string;
  readonly modifiedAt: Date;
}

export interface ObjectHeaders {
  readonly contentType: string;
  readonly cacheControl?: string;
}

/** The store cannot be reached or refused for a reason that may pass. */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}
