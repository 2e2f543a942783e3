import { PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { assertKey } from "./key.ts";
import type { ObjectStore, PresignedPut } from "./port.ts";

/**
 * Signs one PUT by AWS Signature Version 4 in the query string, `content-length`, `content-type` and
 * `host` signed with it. The length is not among the returned headers: every HTTP client takes it
 * from the body, and browsers let nobody set it.
 *
 * S3 has no URL that works once. Until it expires, whoever holds it may send the PUT again and so
 * replace the object by other bytes of the same length and type: an upload counts as what it is
 * when it is read, and `expiresInSeconds` (1 to 604,800) is how long it can still change.
 */
export async function presignPut(
  client: S3Client,
  bucket: string,
  object: Parameters<ObjectStore["presignPut"]>[0],
  now: Date,
): Promise<PresignedPut> {
  assertKey(object.key);
  const { key, contentType, byteLength, expiresInSeconds } = object;
  const url = await getSignedUrl(
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
  // The signature's clock has whole seconds.
  const signedAt = Math.floor(now.getTime() / 1000) * 1000;
  return {
    url,
    headers: { "content-type": contentType },
    expiresAt: new Date(signedAt + expiresInSeconds * 1000),
  };
}
