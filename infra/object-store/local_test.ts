import assert from "node:assert/strict";
import fc from "fast-check";
import { objectStoreContract } from "./contract.ts";
import { localEndpoint } from "./endpoint.ts";
import { InvalidKey } from "./key.ts";
import { type LocalStore, openLocalStore } from "./local.ts";
import { StoreUnavailable } from "./port.ts";
import { localOptions, temporaryStore } from "./local-fixture.ts";

objectStoreContract("local store", async () => {
  const folder = await Deno.makeTempDir();
  const endpoint = Promise.withResolvers<ReturnType<typeof localEndpoint>>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => (await endpoint.promise)(request),
  );
  const options = localOptions(folder, `http://127.0.0.1:${server.addr.port}/store`);
  const store = await openLocalStore(options);
  endpoint.resolve(localEndpoint(store));
  return {
    store,
    signingAt: (now) => openLocalStore({ ...options, now: () => now }),
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await store.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
});

Deno.test("local store: the tag is the MD5 of the bytes", async () => {
  await using temporary = await temporaryStore();
  await temporary.store.put("k", encode("photograph"), text);
  const head = await temporary.store.head("k");
  assert.equal(head?.etag, '"0611f76084233d9a2a8da1d515846886"');
});

Deno.test("local store: a key may begin with another, and capitals count", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  const keys = ["A", "A/B", "a", "a.object", "a.object/b", "a/b", "a/b.object"];
  for (const key of keys) await store.put(key, encode(key), text);
  assert.deepEqual(await listed(store), keys);
  for (const key of keys) {
    assert.equal(await new Response((await store.get(key))?.body).text(), key);
  }
});

Deno.test("local store: any key is either refused or its own, inside the folder", async () => {
  await using temporary = await temporaryStore();
  const { store, folder } = temporary;
  const piece = fc.constantFrom("a", "A", ".", "..", "/", "\\", "%2e", "%2f", "\0", "ü", "u\u0308");
  const key = fc.oneof(
    fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join("")),
    fc.string({ unit: "binary", minLength: 1, maxLength: 12 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(key, { minLength: 1, maxLength: 4 }), async (drawn) => {
      const taken: string[] = [];
      for (const key of drawn) {
        try {
          await store.put(key, encode(key), text);
          taken.push(key);
        } catch (error) {
          assert(error instanceof InvalidKey);
        }
      }
      assert.deepEqual((await listed(store)).sort(), taken.sort());
      for (const key of taken) {
        assert.equal(await new Response((await store.get(key))?.body).text(), key);
      }
      await store.delete(taken);
    }),
    { numRuns: 100 },
  );
  assert.deepEqual(await names(folder), ["bucket"]);
  assert.deepEqual(await names(`${folder}/bucket/objects`), []);
});

Deno.test("local store: stores that share a folder see each other's objects", async () => {
  await using temporary = await temporaryStore();
  const { store, folder } = temporary;
  const other = await openLocalStore(localOptions(folder));
  await store.put("k", encode("one"), text);
  assert.deepEqual(await other.head("k"), await store.head("k"));
  await other.delete(["k"]);
  assert.equal(await store.head("k"), undefined);
  await other.close();
  await store.put("k", encode("two"), text);
});

Deno.test("local store: opening another sweeps nothing that is being written", async () => {
  await using temporary = await temporaryStore();
  const { store, folder } = temporary;
  async function* body() {
    yield encode("first");
    const other = await openLocalStore(localOptions(folder));
    yield encode("second");
    await other.close();
  }
  await store.receive("k", body(), { ...text, byteLength: 11 });
  assert.equal(await new Response((await store.get("k"))?.body).text(), "firstsecond");
});

Deno.test("local store: a writer killed at any instant leaves whole objects, and is swept", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (let kill = 0; kill < 3; kill++) {
      const writer = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", new URL("./local-fixture.ts", import.meta.url).href, folder],
        stdout: "piped",
      }).spawn();
      const reader = writer.stdout.getReader();
      // It says so at each write that it begins; the kill lands in the midst of one of them.
      for (let begun = 0; begun <= 5 * kill + 1;) {
        const { value } = await reader.read();
        assert(value, "the writer ended by itself");
        begun += value.length;
      }
      writer.kill("SIGKILL");
      await reader.cancel();
      await writer.status;
      const left = await names(`${folder}/bucket/staging`);
      assert.equal(left.length, 2, "the killed writer's folder and the lock");

      const store = await openLocalStore(localOptions(folder));
      try {
        const [own] = await foldersIn(`${folder}/bucket/staging`);
        assert.deepEqual(await foldersIn(`${folder}/bucket/staging`), [own]);
        assert(!left.includes(own ?? ""), "swept, its own claimed");
        for (const key of await listed(store)) {
          const object = await store.get(key);
          const bytes = await new Response(object?.body).bytes();
          assert.equal(object?.head.contentType, `version/${bytes[0]}`);
          assert.equal(bytes.length, 1_000_000);
          assert(bytes.every((byte) => byte === bytes[0]));
        }
      } finally {
        await store.close();
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("local store: what is being read stays whole when it is replaced or deleted", async () => {
  await using temporary = await temporaryStore();
  const { store } = temporary;
  await store.put("k", new Uint8Array(300_000).fill(1), text);
  const object = await store.get("k");
  await store.put("k", new Uint8Array(300_000).fill(2), text);
  await store.delete(["k"]);
  const bytes = await new Response(object?.body).bytes();
  assert.equal(bytes.length, 300_000);
  assert(bytes.every((byte) => byte === 1));
});

Deno.test("local store: a put beside a delete that empties the folder succeeds", async () => {
  await using temporary = await temporaryStore();
  const { store, folder } = temporary;
  for (let round = 0; round < 50; round++) {
    await store.put("a/b/c/old", encode("old"), text);
    await Promise.all([
      store.delete(["a/b/c/old"]),
      store.put("a/b/c/new", encode("new"), text),
    ]);
    assert.deepEqual(await listed(store), ["a/b/c/new"]);
    await store.delete(["a/b/c/new"]);
  }
  assert.deepEqual(await names(`${folder}/bucket/objects`), [], "no empty folders are left");
});

Deno.test("local store: a put that fails leaves nothing, and says the store is unavailable", async () => {
  await using temporary = await temporaryStore();
  const { store, folder } = temporary;
  const objects = `${folder}/bucket/objects`;
  await Deno.remove(objects);
  await Deno.writeTextFile(objects, "in the way");
  await assert.rejects(store.put("a/b", encode("x"), text), StoreUnavailable);
  await assert.rejects(store.head("a/b"), StoreUnavailable);
  const [own] = await foldersIn(`${folder}/bucket/staging`);
  assert.deepEqual(await names(`${folder}/bucket/staging/${own}`), ["claim"]);
});

Deno.test("local store: check rejects when its folder is gone", async () => {
  await using temporary = await temporaryStore();
  await Deno.remove(`${temporary.folder}/bucket`, { recursive: true });
  await assert.rejects(temporary.store.check(), StoreUnavailable);
});

const text = { contentType: "text/plain" };

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

async function listed(store: LocalStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("")) keys.push(key);
  return keys;
}

async function names(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) names.push(name);
  return names.sort();
}

async function foldersIn(folder: string): Promise<string[]> {
  const folders: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) folders.push(name);
  }
  return folders;
}
