import { type LocalStore, type LocalStoreOptions, openLocalStore } from "./local.ts";

/** For tests: the options of a store that nobody reaches unless an endpoint is given. */
export function localOptions(
  folder: string,
  endpoint = "http://127.0.0.1:8000/store",
): LocalStoreOptions {
  return {
    folder,
    bucket: "bucket",
    endpoint,
    region: "us-east-1",
    accessKeyId: "test-key",
    secretAccessKey: "test-secret",
  };
}

/** A store in a folder of its own that goes with it. */
export async function temporaryStore(
  options: Partial<LocalStoreOptions> = {},
): Promise<AsyncDisposable & { store: LocalStore; folder: string }> {
  const folder = options.folder ?? await Deno.makeTempDir();
  const store = await openLocalStore({ ...localOptions(folder), ...options });
  return {
    store,
    folder,
    async [Symbol.asyncDispose]() {
      await store.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

// As a program: overwrites three objects for ever, saying a byte on standard output at each; to be killed.
if (import.meta.main) {
  const store = await openLocalStore(localOptions(Deno.args[0] ?? ""));
  for (let version = 1;; version = version % 250 + 1) {
    await Deno.stdout.write(new Uint8Array(1));
    const bytes = new Uint8Array(1_000_000).fill(version);
    await store.put(`k/${version % 3}`, bytes, { contentType: `version/${version}` });
  }
}
