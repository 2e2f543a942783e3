import { S3Client } from "@aws-sdk/client-s3";
import { ifFound, type OpenObject, openObject, trailerLength, writeObject } from "./file.ts";
import { assertKey, compareKeys, fileName, InvalidKey, isKey, partOf } from "./key.ts";
import { type ObjectHead, type ObjectHeaders, type ObjectStore, StoreUnavailable } from "./port.ts";
import { presigner } from "./presign.ts";
import { claimStaging } from "./staging.ts";

export interface LocalStoreOptions {
  /** Made when it is not there. Several processes may open it at once. */
  readonly folder: string;
  readonly bucket: string;
  /** Where clients reach `localEndpoint`, with its path: `http://127.0.0.1:8000/store`. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly now?: () => Date;
}

export interface LocalStore extends ObjectStore {
  readonly options: Required<LocalStoreOptions>;
  /** For a reader who takes a part of the bytes. Undefined when there is no such object. */
  open(key: string): Promise<OpenObject | undefined>;
  /**
   * As `put`, from a stream that must bear exactly `byteLength` bytes.
   * @throws {IncompleteBody} otherwise, and nothing is stored.
   */
  receive(
    key: string,
    body: AsyncIterable<Uint8Array>,
    object: ObjectHeaders & { byteLength: number },
  ): Promise<ObjectHead>;
}

const suffix = ".object";

/**
 * The store as files below `<folder>/<bucket>`: `objects/` mirrors the keys, `staging/` holds what is
 * being written. An object is written and fsynced there, then renamed: a reader in any process sees
 * all of one version or none, and what a killed writer leaves is swept by the next `openLocalStore`.
 * @throws {StoreUnavailable} from any operation when the file system fails (no space, no permission).
 */
export async function openLocalStore(options: LocalStoreOptions): Promise<LocalStore> {
  const { folder, bucket, endpoint, region, accessKeyId, secretAccessKey } = options;
  const now = options.now ?? (() => new Date());
  const root = `${folder}/${fileName(bucket)}`;
  const objects = `${root}/objects`;
  await Deno.mkdir(objects, { recursive: true });
  const staging = await claimStaging(`${root}/staging`);
  await syncFolder(root);
  await syncFolder(folder);
  const signer = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });

  const presign = presigner(signer, bucket);

  const pathOf = (key: string) => {
    assertKey(key);
    return `${objects}/${key.split("/").map(fileName).join("/")}${suffix}`;
  };

  const open = (key: string) => storing(() => openObject(pathOf(key)));

  const receive: LocalStore["receive"] = (key, body, object) =>
    storing(async () => {
      const path = pathOf(key);
      const staged = staging.path();
      try {
        const head = await writeObject(staged, body, { ...object, modifiedAt: now() });
        await publish(staged, path);
        await syncFolders(path, root);
        return head;
      } catch (error) {
        await ifFound(Deno.remove(staged));
        throw error;
      }
    });

  return {
    options: { ...options, now },
    open,
    receive,
    presignPut: (object) => presign(object, now()),
    async head(key) {
      const object = await open(key);
      object?.close();
      return object?.head;
    },
    async get(key) {
      const object = await open(key);
      return object && { head: object.head, body: object.read(0, object.head.byteLength) };
    },
    async put(key, bytes, headers) {
      const body = ReadableStream.from([bytes]);
      await receive(key, body, { ...headers, byteLength: bytes.length });
    },
    async delete(keys) {
      const paths = keys.map(pathOf);
      await storing(async () => {
        for (const path of paths) await removeObject(path, objects);
      });
    },
    async *list(prefix) {
      if (!prefix.isWellFormed()) throw new InvalidKey(`not a prefix: ${JSON.stringify(prefix)}`);
      const parts = prefix.split("/");
      const started = parts.pop() ?? "";
      // No key has such a part, and a file system may refuse its name.
      if (!parts.every(isKey)) return;
      const folder = [objects, ...parts.map(fileName)].join("/");
      yield* walk(folder, parts.map((part) => `${part}/`).join(""), started);
    },
    check: () => storing(async () => void await Deno.stat(staging.folder)),
    async close() {
      signer.destroy();
      await staging.release();
    },
  };
}

/** A folder may vanish before the rename: a `delete` removes those it has emptied. */
async function publish(staged: string, path: string): Promise<void> {
  for (;;) {
    await Deno.mkdir(parentOf(path), { recursive: true });
    try {
      return await Deno.rename(staged, path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      await Deno.stat(staged);
    }
  }
}

async function removeObject(path: string, objects: string): Promise<void> {
  const removed = await ifFound(Deno.remove(path).then(() => true));
  if (!removed) return;
  let folder = parentOf(path);
  await syncFolder(folder);
  while (folder !== objects) {
    try {
      await Deno.remove(folder);
    } catch {
      // It is not empty, or another process was quicker.
      return;
    }
    folder = parentOf(folder);
  }
}

interface Listed {
  readonly key: string;
  readonly byteLength: number;
  readonly modifiedAt: Date;
}

/**
 * The objects below a folder in key order: a folder sorts as its name with `/`, which all the keys in
 * it begin with, and no other name in the same folder does.
 */
async function* walk(folder: string, keyPrefix: string, started: string): AsyncGenerator<Listed> {
  const names: string[] = [];
  const entries = await storing(() =>
    ifFound((async () => {
      for await (const { name, isFile } of Deno.readDir(folder)) {
        if (!isFile) names.push(`${partOf(name)}/`);
        else if (name.endsWith(suffix)) names.push(partOf(name.slice(0, -suffix.length)));
      }
      return names;
    })())
  );
  if (!entries) return;
  const wanted = entries.filter((name) => name.startsWith(started)).sort(compareKeys);
  for (const name of wanted) {
    if (name.endsWith("/")) {
      yield* walk(`${folder}/${fileName(name.slice(0, -1))}`, keyPrefix + name, "");
      continue;
    }
    const file = `${folder}/${fileName(name)}${suffix}`;
    const stat = await storing(() => ifFound(Deno.stat(file)));
    if (!stat?.mtime) continue;
    yield { key: keyPrefix + name, byteLength: stat.size - trailerLength, modifiedAt: stat.mtime };
  }
}

/** A rename is durable when its folder is, and a new folder when the one above it is. */
async function syncFolders(path: string, root: string): Promise<void> {
  for (let folder = parentOf(path); folder.length >= root.length; folder = parentOf(folder)) {
    await syncFolder(folder);
  }
}

async function syncFolder(path: string): Promise<void> {
  // Windows opens no folders, and needs no such thing.
  if (Deno.build.os === "windows") return;
  using folder = await ifFound(Deno.open(path)) ?? null;
  await folder?.sync();
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

async function storing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // The operating system's errors bear its code (ENOSPC, EACCES); others are not its own.
    if (!(error instanceof Error && "code" in error)) throw error;
    throw new StoreUnavailable("the object store's folder cannot be used", { cause: error });
  }
}
