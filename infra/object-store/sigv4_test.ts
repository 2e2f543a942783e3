import assert from "node:assert/strict";
import { S3Error } from "./s3-error.ts";
import { verifyPresigned } from "./sigv4.ts";

// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
const signatory = {
  region: "us-east-1",
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const query = "X-Amz-Algorithm=AWS4-HMAC-SHA256" +
  "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
  "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
  "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
const request = {
  method: "GET",
  path: "/test.txt",
  query,
  headers: new Headers({ host: "examplebucket.s3.amazonaws.com" }),
};
const now = new Date("2013-05-24T12:00:00Z");

Deno.test("verifyPresigned: takes the example of AWS's own documentation", () => {
  verifyPresigned(request, signatory, now);
});

Deno.test("verifyPresigned: the order of parameters and how they are encoded say nothing", () => {
  const reordered = query.split("&").reverse().join("&").replaceAll("%2F", "/");
  verifyPresigned({ ...request, path: "/%74est.txt", query: reordered }, signatory, now);
});

Deno.test("verifyPresigned: another method, host, secret or later time is refused", () => {
  const refuses = (code: string, verify: () => void) =>
    assert.throws(verify, (error) => error instanceof S3Error && error.code === code);
  const mismatch = "SignatureDoesNotMatch";
  refuses(mismatch, () => verifyPresigned({ ...request, method: "PUT" }, signatory, now));
  const headers = new Headers({ host: "another.s3.amazonaws.com" });
  refuses(mismatch, () => verifyPresigned({ ...request, headers }, signatory, now));
  const other = { ...signatory, secretAccessKey: "another" };
  refuses(mismatch, () => verifyPresigned(request, other, now));
  const later = new Date("2013-05-25T00:00:00Z");
  refuses("AccessDenied", () => verifyPresigned(request, signatory, later));
});
