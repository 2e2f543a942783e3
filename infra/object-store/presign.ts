import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { createHash, createHmac } from "node:crypto";
import { assertKey } from "./key.ts";
import type { ObjectStore, PresignedPut } from "./port.ts";

type Put = Parameters<ObjectStore["presignPut"]>[0];
type Presign = (object: Put, now: Date) => Promise<PresignedPut>;

const algorithm = "AWS4-HMAC-SHA256";
const signedHeaders = "content-length;content-type;host";
/** Of the query string, what stands behind the signature. */
const after = `&X-Amz-SignedHeaders=${encode(signedHeaders)}&x-id=PutObject`;
const longestExpiry = 7 * 24 * 60 * 60;

/**
 * Signs PUTs by AWS Signature Version 4 in the query string
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html), `content-length`,
 * `content-type` and `host` signed with it. The length is not among the returned headers: every HTTP
 * client takes it from the body, and browsers let nobody set it.
 *
 * S3 has no URL that works once. Until it expires, whoever holds it may send the PUT again and so
 * replace the object by other bytes of the same length and type: an upload counts as what it is
 * when it is read, and `expiresInSeconds` (1 to 604,800) is how long it can still change.
 *
 * The SDK takes 190 µs for a URL, of which the signature is 10: it is asked once, for where objects
 * of this bucket are, and with credentials that bear a session token, which come and go. A property
 * test holds the URLs made here to the SDK's, byte for byte.
 */
export function presigner(client: S3Client, bucket: string): Presign {
  let place: Promise<Place> | undefined;
  let signing: Signing | undefined;
  return async (object, now) => {
    assertKey(object.key);
    const { contentType, expiresInSeconds } = object;
    const { accessKeyId, secretAccessKey, sessionToken } = await client.config.credentials();
    // The signature's clock has whole seconds.
    const signedAt = Math.floor(now.getTime() / 1000) * 1000;
    const signed = (url: string): PresignedPut => ({
      url,
      headers: { "content-type": contentType },
      expiresAt: new Date(signedAt + expiresInSeconds * 1000),
    });
    if (sessionToken !== undefined) return signed(await presignBySdk(client, bucket, object, now));
    if (expiresInSeconds > longestExpiry) {
      throw new RangeError(`a URL is good for ${longestExpiry} seconds at most`);
    }

    const { origin, host, folder, region } = await (place ??= placeOf(client, bucket)
      .catch((error) => {
        place = undefined;
        throw error;
      }));
    if (
      signing?.signedAt !== signedAt || signing.accessKeyId !== accessKeyId ||
      signing.secretAccessKey !== secretAccessKey
    ) signing = signingAt(signedAt, region, accessKeyId, secretAccessKey);
    const { date, scope, credential, mac } = signing;
    const path = folder + encodedKey(object.key);
    const before = `X-Amz-Algorithm=${algorithm}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD` +
      `&X-Amz-Credential=${credential}&X-Amz-Date=${date}&X-Amz-Expires=${expiresInSeconds}`;
    const canonical = `PUT\n${path}\n${before}${after}\n` +
      `content-length:${object.byteLength}\n` +
      `content-type:${contentType.trim().replaceAll(/\s+/g, " ")}\n` +
      `host:${host}\n\n${signedHeaders}\nUNSIGNED-PAYLOAD`;
    const digest = createHash("sha256").update(canonical).digest("hex");
    const signature = mac(`${algorithm}\n${date}\n${scope}\n${digest}`);
    return signed(`${origin}${path}?${before}&X-Amz-Signature=${signature}${after}`);
  };
}

/** What signatures of one second share. */
interface Signing {
  /** Milliseconds since the epoch. */
  readonly signedAt: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly date: string;
  readonly scope: string;
  /** As the query string has it. */
  readonly credential: string;
  /** By the day's key, hexadecimal. */
  readonly mac: (text: string) => string;
}

function signingAt(
  signedAt: number,
  region: string,
  accessKeyId: string,
  secretAccessKey: string,
): Signing {
  const date = new Date(signedAt).toISOString().replaceAll(/[-:]|\.000/g, "");
  const parts = [date.slice(0, 8), region, "s3", "aws4_request"];
  const key = parts.reduce<Uint8Array | string>(hmac, `AWS4${secretAccessKey}`) as Uint8Array;
  const scope = parts.join("/");
  const credential = encode(`${accessKeyId}/${scope}`);
  return { signedAt, accessKeyId, secretAccessKey, date, scope, credential, mac: macBy(key) };
}

/**
 * HMAC with SHA-256 (RFC 2104) by a key of 32 bytes, with what depends on the key alone hashed once:
 * 4 µs, where `createHmac` takes 7.
 */
function macBy(key: Uint8Array): (text: string) => string {
  const padded = new Uint8Array(64);
  padded.set(key);
  const begun = (pad: number) => createHash("sha256").update(padded.map((byte) => byte ^ pad));
  const [inner, outer] = [begun(0x36), begun(0x5c)];
  return (text) => outer.copy().update(inner.copy().update(text).digest()).digest("hex");
}

/** As the SDK does it. */
export function presignBySdk(
  client: S3Client,
  bucket: string,
  { key, contentType, byteLength, expiresInSeconds }: Put,
  now: Date,
): Promise<string> {
  return getSignedUrl(
    client,
    new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      ContentType: contentType,
      ContentLength: byteLength,
    }),
    {
      expiresIn: expiresInSeconds,
      signingDate: now,
      // The one header that the SDK would leave unsigned.
      signableHeaders: new Set(["content-type"]),
    },
  );
}

/** Where a bucket's objects are: it depends on region, endpoint and the bucket's name. */
interface Place {
  readonly origin: string;
  readonly host: string;
  /** The path up to the key. */
  readonly folder: string;
  readonly region: string;
}

async function placeOf(client: S3Client, bucket: string): Promise<Place> {
  const object = { key: "x", contentType: "image/jpeg", byteLength: 1, expiresInSeconds: 1 };
  const { origin, host, pathname } = new URL(
    await presignBySdk(client, bucket, object, new Date()),
  );
  return { origin, host, folder: pathname.slice(0, -1), region: await client.config.region() };
}

/** RFC 3986: all but the unreserved characters, and the slashes between the parts. */
function encodedKey(key: string): string {
  return unreserved.test(key) ? key : key.split("/").map(encode).join("/");
}

const unreserved = /^[A-Za-z0-9._~/-]*$/;

/** RFC 3986: all but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function hmac(key: string | Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}
