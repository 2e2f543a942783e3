import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  paginateListObjectsV2,
  S3Client,
} from "@aws-sdk/client-s3";
import { objectStoreContract } from "./contract.ts";
import { openS3Store } from "./s3.ts";

/** Holds `openS3Store` to the contract on a running S3 server, each test in a bucket of its own. */
export function s3StoreContract(
  name: string,
  server: { endpoint: string; region: string; accessKeyId: string; secretAccessKey: string },
): void {
  const { endpoint, region, ...credentials } = server;
  objectStoreContract(name, async () => {
    const bucket = `contract-${crypto.randomUUID()}`;
    const options = { endpoint, region, bucket, credentials, forcePathStyle: true };
    const administrator = new S3Client(options);
    await administrator.send(new CreateBucketCommand({ Bucket: bucket }));
    const store = openS3Store(options);
    return {
      store,
      signingAt: (now) => Promise.resolve(openS3Store({ ...options, now: () => now })),
      async [Symbol.asyncDispose]() {
        await store.close();
        const pages = paginateListObjectsV2({ client: administrator }, { Bucket: bucket });
        for await (const { Contents = [] } of pages) {
          const Objects = Contents.map(({ Key }) => ({ Key }));
          if (Objects.length === 0) continue;
          await administrator.send(
            new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }),
          );
        }
        await administrator.send(new DeleteBucketCommand({ Bucket: bucket }));
        administrator.destroy();
      },
    };
  });
}
