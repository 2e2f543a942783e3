import { S3Client } from "@aws-sdk/client-s3";
import assert from "node:assert/strict";
import fc from "fast-check";
import { isKey } from "./key.ts";
import { presignBySdk, presigner } from "./presign.ts";

const part = fc.string({ unit: "binary", minLength: 1, maxLength: 12 });
const key = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"))
  .filter(isKey);
const object = fc.record({
  key,
  contentType: fc.constantFrom("image/jpeg", "image/png", "text/plain; charset=utf-8", "a/b;  c=d"),
  byteLength: fc.nat(50_000_000),
  expiresInSeconds: fc.integer({ min: 1, max: 604_800 }),
});
const place = fc.record({
  reached: fc.constantFrom(
    { forcePathStyle: false },
    { endpoint: "https://s3.example:444", forcePathStyle: false },
    { endpoint: "http://s3.example", forcePathStyle: true },
    { endpoint: "http://127.0.0.1:8000/store", forcePathStyle: true },
  ),
  region: fc.constantFrom("us-east-1", "eu-west-1"),
  bucket: fc.constantFrom("shutterlog", "with.dots"),
  credentials: fc.record({
    accessKeyId: fc.stringMatching(/^[A-Z0-9]{4,20}$/),
    secretAccessKey: fc.stringMatching(/^[ -~]{8,40}$/),
    sessionToken: fc.constantFrom(undefined, undefined, "token/of+a=session"),
  }),
});
const time = fc.date({
  min: new Date("2020-01-01"),
  max: new Date("2040-01-01"),
  noInvalidDate: true,
});

Deno.test("presigner: signs as the SDK does, byte for byte", async () => {
  await fc.assert(
    fc.asyncProperty(
      place,
      fc.array(fc.tuple(object, time), { minLength: 1, maxLength: 4 }),
      async ({ reached, region, bucket, credentials }, puts) => {
        const client = new S3Client({
          ...reached,
          region,
          credentials,
          requestChecksumCalculation: "WHEN_REQUIRED",
        });
        try {
          const presign = presigner(client, bucket);
          for (const [put, now] of puts) {
            const { url, expiresAt } = await presign(put, now);
            assert.equal(url, await presignBySdk(client, bucket, put, now));
            assert.ok(expiresAt.getTime() <= now.getTime() + put.expiresInSeconds * 1000);
          }
        } finally {
          client.destroy();
        }
      },
    ),
    { numRuns: 200 },
  );
});
