import {
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { assertKey, InvalidKey } from "./key.ts";
import { type ObjectHead, type ObjectStore, StoreUnavailable } from "./port.ts";
import { presigner } from "./presign.ts";

export interface S3StoreOptions {
  /** AWS's own for the region when left out. */
  readonly endpoint?: string;
  /** Where clients reach the store, when that is another address than ours: URLs are signed for it. */
  readonly publicEndpoint?: string;
  readonly region: string;
  readonly bucket: string;
  /** The SDK's own chain (environment, instance role) when left out. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** `/bucket/key` rather than a host per bucket; most servers that are not AWS want it. */
  readonly forcePathStyle: boolean;
  /** The clock URLs are signed by. */
  readonly now?: () => Date;
}

/** Keys in one DeleteObjects request. */
const deleteLimit = 1000;
/** A store that does not connect or goes silent for so many milliseconds is unavailable. */
const connectionTimeout = 3_000;
const socketTimeout = 30_000;

/** The store on Amazon S3 or a server that speaks its protocol. The bucket must exist. */
export function openS3Store(options: S3StoreOptions): ObjectStore {
  const { bucket, endpoint, publicEndpoint } = options;
  const now = options.now ?? (() => new Date());
  const client = connect(options, endpoint);
  const signer = publicEndpoint === undefined ? client : connect(options, publicEndpoint);
  const presign = presigner(signer, bucket);
  const at = (key: string) => {
    assertKey(key);
    return { Bucket: bucket, Key: key };
  };
  return {
    presignPut: (object) => presign(object, now()),
    async head(key) {
      const found = await ask(() => ifFound(client.send(new HeadObjectCommand(at(key)))));
      return found && headOf(found);
    },
    async get(key) {
      const found = await ask(() => ifFound(client.send(new GetObjectCommand(at(key)))));
      if (!found) return undefined;
      const body = found.Body?.transformToWebStream() ?? ReadableStream.from<Uint8Array>([]);
      return { head: headOf(found), body };
    },
    async put(key, body, { contentType, cacheControl }) {
      await ask(() =>
        client.send(
          new PutObjectCommand({
            ...at(key),
            Body: body,
            ContentLength: body.length,
            ContentType: contentType,
            CacheControl: cacheControl,
          }),
        )
      );
    },
    async delete(keys) {
      const objects = keys.map((key) => ({ Key: at(key).Key }));
      for (let first = 0; first < objects.length; first += deleteLimit) {
        const Delete = { Objects: objects.slice(first, first + deleteLimit), Quiet: true };
        const { Errors } = await ask(() =>
          client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }))
        );
        const [failed] = Errors ?? [];
        if (failed) throw new StoreUnavailable(`${failed.Key} was not deleted: ${failed.Code}`);
      }
    },
    async *list(prefix) {
      if (!prefix.isWellFormed()) throw new InvalidKey(`not a prefix: ${JSON.stringify(prefix)}`);
      const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix });
      for (;;) {
        const page = await ask(() => pages.next());
        if (page.done) return;
        for (const { Key, Size, LastModified } of page.value.Contents ?? []) {
          if (Key === undefined || Size === undefined || LastModified === undefined) {
            throw new Error("the store lists an object without its key, size or time");
          }
          yield { key: Key, byteLength: Size, modifiedAt: LastModified };
        }
      }
    },
    async check() {
      await ask(() => client.send(new HeadBucketCommand({ Bucket: bucket })));
    },
    close() {
      client.destroy();
      signer.destroy();
      return Promise.resolve();
    },
  };
}

function connect(options: S3StoreOptions, endpoint: string | undefined): S3Client {
  const { region, forcePathStyle, credentials } = options;
  return new S3Client({
    region,
    forcePathStyle,
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials && { credentials }),
    // Otherwise a presigned PUT demands the checksum of the empty body it was signed with.
    requestChecksumCalculation: "WHEN_REQUIRED",
    requestHandler: { connectionTimeout, socketTimeout },
  });
}

function headOf(found: HeadObjectCommandOutput | GetObjectCommandOutput): ObjectHead {
  const { ContentLength, ContentType, ETag, CacheControl, LastModified } = found;
  if (ContentLength === undefined || ETag === undefined || LastModified === undefined) {
    throw new Error("the store describes an object without its length, tag or time");
  }
  return {
    byteLength: ContentLength,
    contentType: ContentType ?? "binary/octet-stream",
    etag: ETag,
    ...(CacheControl !== undefined && { cacheControl: CacheControl }),
    modifiedAt: LastModified,
  };
}

async function ifFound<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    // A GET says which is missing; a HEAD has no body to say it in, and is taken for the object.
    const absent = error instanceof S3ServiceException &&
      ["NoSuchKey", "NotFound"].includes(error.name);
    if (absent) return undefined;
    throw error;
  }
}

/** The SDK has already tried three times when it throws. */
async function ask<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (mayPass(error)) throw new StoreUnavailable("the object store failed", { cause: error });
    throw error;
  }
}

/** Clocks are corrected and credentials renewed, so a 403 may pass too. */
function mayPass(error: unknown): boolean {
  if (error instanceof InvalidKey) return false;
  if (!(error instanceof S3ServiceException)) return true;
  const status = error.$metadata.httpStatusCode ?? 0;
  return status === 0 || status >= 500 || [403, 408, 429].includes(status);
}
