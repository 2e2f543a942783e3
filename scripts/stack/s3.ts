import { join } from "node:path";
import { type BucketOptions, prepareBucket } from "../../infra/deploy/s3/bucket.ts";
import { development, s3Flags, s3Notifications } from "../../infra/deploy/settings.ts";
import { projectRoot } from "../architecture/graph.ts";
import { fetchedVersitygw } from "./downloads.ts";
import { freePorts } from "./ports.ts";
import { Server } from "./process.ts";
import { type Place, type Running, stopAll } from "./running.ts";

export interface S3Options extends Place {
  /** A free one when left out. */
  readonly port?: number;
  /** Where it tells what is put into it: a broker that is up, with the topic there. To nobody when left out. */
  readonly notifications?: { readonly broker: string; readonly topic: string };
}

export interface RunningS3 extends Running {
  /** Where it is and who may do everything, with the name of the product's bucket, which is there. */
  readonly store: BucketOptions;
}

/** versitygw over a folder of this machine, with the product's bucket in it. */
export async function startS3(options: S3Options): Promise<RunningS3> {
  const { servers, store, start } = await s3Server(options);
  try {
    await start();
  } catch (error) {
    if (options.lifetime !== "until stopped") await stopAll(servers);
    throw error;
  }
  return { servers, store, stop: () => stopAll(servers) };
}

/** The server without starting it. */
export async function s3Server(options: S3Options) {
  const { port = freePorts(1)[0] ?? 0, notifications } = options;
  const address = `127.0.0.1:${port}`;
  const endpoint = `http://${address}`;
  const folder = join(options.folder, "s3");
  const data = join(folder, "data");
  const store: BucketOptions = { endpoint, ...development.s3 };
  const server = new Server({
    name: "s3",
    address,
    folder,
    lifetime: options.lifetime ?? "of its starter",
    env: {
      ROOT_ACCESS_KEY_ID: store.accessKeyId,
      ROOT_SECRET_ACCESS_KEY: store.secretAccessKey,
      ...(notifications && s3Notifications(
        notifications.broker,
        notifications.topic,
        join(projectRoot, "infra/deploy/s3/notifications.json"),
      )),
    },
    command: [
      await fetchedVersitygw(),
      ...s3Flags,
      ...["--region", store.region, "--port", address],
      "posix",
      data,
    ],
    async ready() {
      const answer = await fetch(`${endpoint}/healthz`, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      if (!answer.ok) throw new Error(`${endpoint} answers ${answer.status}`);
    },
  });
  const start = async () => {
    await Deno.mkdir(data, { recursive: true });
    await server.start();
    await prepareBucket(store);
  };
  return { servers: [server], store, start };
}
