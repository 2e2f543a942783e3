import { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { S3Error } from "./s3-error.ts";

/** A request as it came over the wire: nothing of the path or query may be normalised. */
export interface SignedRequest {
  readonly method: string;
  /** Percent-encoded, with the leading slash. */
  readonly path: string;
  /** Percent-encoded, without the question mark. */
  readonly query: string;
  /** With `host`. */
  readonly headers: Headers;
}

export interface Signatory {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const algorithm = "AWS4-HMAC-SHA256";
const longestExpiry = 7 * 24 * 60 * 60;
/** How far a signer's clock may run ahead of ours, in milliseconds; S3's own tolerance. */
const maximumSkew = 15 * 60 * 1000;

/**
 * Checks a presigned request: AWS Signature Version 4 with the authentication in the query string
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html). Returns when the
 * signature is that of exactly this method, path, query and these signed headers, and its time is now.
 * @throws {S3Error} with the code S3 answers.
 */
export function verifyPresigned(request: SignedRequest, signatory: Signatory, now: Date): void {
  const parameters = request.query.split("&").map((pair): [string, string] => {
    const [name = "", ...value] = pair.split("=");
    return [decode(name), decode(value.join("="))];
  });
  const parameter = (name: string) => {
    const values = parameters.filter(([other]) => other === name);
    const value = values[0]?.[1];
    if (values.length !== 1 || value === undefined) throw malformed(`${name} must be given once`);
    return value;
  };
  if (!parameters.some(([name]) => name === "X-Amz-Signature")) {
    throw new S3Error(403, "AccessDenied", "Access Denied");
  }
  if (parameter("X-Amz-Algorithm") !== algorithm) {
    throw malformed(`X-Amz-Algorithm only supports ${algorithm}`);
  }

  const date = parameter("X-Amz-Date");
  const signedAt = parseDate(date);
  const scope = `${date.slice(0, 8)}/${signatory.region}/s3/aws4_request`;
  const credential = parameter("X-Amz-Credential");
  const [accessKeyId, ...credentialScope] = credential.split("/");
  if (credentialScope.join("/") !== scope) {
    throw malformed(`the credential's scope is not ${scope}`);
  }
  if (accessKeyId !== signatory.accessKeyId) {
    throw new S3Error(403, "InvalidAccessKeyId", "The access key does not exist.");
  }

  const expires = parameter("X-Amz-Expires");
  if (!/^[1-9]\d{0,5}$/.test(expires) || Number(expires) > longestExpiry) {
    throw malformed(`X-Amz-Expires must be 1 to ${longestExpiry} seconds`);
  }
  if (signedAt > now.getTime() + maximumSkew) {
    throw new S3Error(403, "AccessDenied", "Request is not valid yet");
  }
  if (signedAt + Number(expires) * 1000 <= now.getTime()) {
    throw new S3Error(403, "AccessDenied", "Request has expired");
  }

  const signedHeaders = parameter("X-Amz-SignedHeaders").split(";");
  assertHeadersSigned(signedHeaders, request.headers);
  const canonicalHeaders = signedHeaders.map((name) =>
    `${name}:${(request.headers.get(name) ?? "").trim().replaceAll(/ +/g, " ")}\n`
  );
  const canonicalQuery = parameters
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map((pair) => pair.join("="));
  const canonicalRequest = [
    request.method,
    request.path.split("/").map((part) => encode(decode(part))).join("/"),
    canonicalQuery.join("&"),
    canonicalHeaders.join(""),
    signedHeaders.join(";"),
    "UNSIGNED-PAYLOAD",
  ].join("\n");

  const toSign = [algorithm, date, scope, sha256(canonicalRequest)].join("\n");
  const key = [...scope.split("/")].reduce<string | Buffer>(
    hmac,
    `AWS4${signatory.secretAccessKey}`,
  );
  const expected = Buffer.from(hmac(key, toSign).toString("hex"));
  const given = Buffer.from(parameter("X-Amz-Signature"));
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Error(
      403,
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided.",
    );
  }
}

/** The host must be signed, and what speaks to S3 itself; a list out of order signs nothing. */
function assertHeadersSigned(signed: readonly string[], headers: Headers): void {
  const amazon = [...headers.keys()].filter((name) => name.startsWith("x-amz-"));
  const unsigned = ["host", ...amazon].filter((name) => !signed.includes(name));
  if (unsigned.length > 0) {
    throw new S3Error(
      403,
      "AccessDenied",
      `There were headers present in the request which were not signed: ${unsigned.join(", ")}`,
    );
  }
  if (signed.some((name) => !/^[a-z0-9-]+$/.test(name))) {
    throw malformed("X-Amz-SignedHeaders must be lower-case names divided by semicolons");
  }
}

/** ISO 8601 basic format, as in 20260101T000000Z; milliseconds since the epoch. */
function parseDate(date: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  const [, year, month, day, hour, minute, second] = match ?? [];
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(time)) throw malformed("X-Amz-Date must be as in 20260101T000000Z");
  return time;
}

function malformed(message: string): S3Error {
  return new S3Error(400, "AuthorizationQueryParametersError", message);
}

/** @throws {S3Error} on a stray percent sign or what is not UTF-8. */
export function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw new S3Error(400, "InvalidURI", "Couldn't parse the specified URI.");
  }
}

/** RFC 3986: all but the unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
