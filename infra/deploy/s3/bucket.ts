import {
  CreateBucketCommand,
  PutBucketCorsCommand,
  PutBucketPolicyCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";

export interface BucketOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Whose pages may PUT photographs; `*` for any. */
  readonly corsOrigins: readonly string[];
}

/**
 * Makes the bucket as the product needs it; doing it again changes nothing. Anyone may GET what lies
 * under `variants/`, which is what the CDN does, and nothing else is open to anyone: not the originals,
 * not a list of keys. Browsers may PUT where a presigned URL lets them.
 */
export async function prepareBucket(options: BucketOptions): Promise<void> {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey, corsOrigins } = options;
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error) => {
      const exists = error instanceof S3ServiceException &&
        error.name === "BucketAlreadyOwnedByYou";
      if (!exists) throw error;
    });
    await client.send(
      new PutBucketPolicyCommand({
        Bucket: bucket,
        Policy: JSON.stringify(publicVariants(bucket)),
      }),
    );
    await client.send(
      new PutBucketCorsCommand({
        Bucket: bucket,
        CORSConfiguration: {
          CORSRules: [{
            AllowedOrigins: [...corsOrigins],
            AllowedMethods: ["PUT"],
            AllowedHeaders: ["content-type"],
            ExposeHeaders: ["ETag"],
            MaxAgeSeconds: 3600,
          }],
        },
      }),
    );
  } finally {
    client.destroy();
  }
}

function publicVariants(bucket: string) {
  return {
    Version: "2012-10-17",
    Statement: [{
      Sid: "VariantsAreForAnyone",
      Effect: "Allow",
      Principal: "*",
      Action: "s3:GetObject",
      Resource: `arn:aws:s3:::${bucket}/variants/*`,
    }],
  };
}

// As a program, for compose.yaml: takes the same environment as the product's processes.
if (import.meta.main) {
  const variable = (name: string) => {
    const value = Deno.env.get(name);
    if (!value) throw new Error(`${name} is not set`);
    return value;
  };
  await prepareBucket({
    endpoint: variable("S3_ENDPOINT"),
    region: variable("S3_REGION"),
    bucket: variable("S3_BUCKET"),
    accessKeyId: variable("S3_ACCESS_KEY_ID"),
    secretAccessKey: variable("S3_SECRET_ACCESS_KEY"),
    corsOrigins: variable("CORS_ORIGINS").split(",").map((origin) => origin.trim()),
  });
  console.log(`the bucket ${variable("S3_BUCKET")} is ready`);
}
