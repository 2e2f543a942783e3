import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { InvalidKey } from "./key.ts";
import type { ObjectStore, PresignedPut } from "./port.ts";

/** A store that holds nothing yet, with a server behind its URLs. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: ObjectStore;
  /** The same store, but its URLs are signed as though it were `now`. The caller closes it. */
  signingAt(now: Date): Promise<ObjectStore>;
}

/** What every object store must do. */
export function objectStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  const test = (claim: string, run: (subject: StoreUnderTest) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, { sanitizeResources: true }, async () => {
      await using subject = await open();
      await run(subject);
    });

  test("check resolves when the store answers", ({ store }) => store.check());

  test("what was put is got, with its headers", async ({ store }) => {
    const before = Date.now();
    const headers = { contentType: "image/webp", cacheControl: "public, max-age=31536000" };
    await store.put("variants/m/large.webp", bytes("photograph"), headers);
    const head = await store.head("variants/m/large.webp");
    assert(head);
    const { etag, modifiedAt, ...rest } = head;
    assert.deepEqual(rest, { byteLength: 10, ...headers });
    assert.match(etag, /^"[^"]+"$/);
    // S3 knows whole seconds.
    assert(modifiedAt.getTime() >= before - 1000 && modifiedAt.getTime() <= Date.now() + 1000);
    const object = await store.get("variants/m/large.webp");
    assert.deepEqual(object?.head, head);
    assert.equal(await textOf(object?.body), "photograph");
  });

  test("an object may be empty and need not say how to be cached", async ({ store }) => {
    await store.put("originals/empty", bytes(""), { contentType: "text/plain" });
    const object = await store.get("originals/empty");
    assert.equal(object?.head.byteLength, 0);
    assert.equal(object?.head.cacheControl, undefined);
    assert.equal(await textOf(object?.body), "");
  });

  test("an object that is not there is undefined", async ({ store }) => {
    assert.equal(await store.head("originals/none"), undefined);
    assert.equal(await store.get("originals/none"), undefined);
    assert.deepEqual(await keys(store, ""), []);
  });

  test("put overwrites the bytes, the headers and the tag", async ({ store }) => {
    await store.put("k", bytes("one"), { contentType: "text/plain", cacheControl: "no-store" });
    const first = await store.head("k");
    await store.put("k", bytes("three"), { contentType: "text/html" });
    const second = await store.head("k");
    assert.notEqual(second?.etag, first?.etag);
    assert.equal(second?.contentType, "text/html");
    assert.equal(second?.cacheControl, undefined);
    assert.equal(await textOf((await store.get("k"))?.body), "three");
  });

  test("delete removes what is there and takes what is not for done", async ({ store }) => {
    await store.put("originals/a", bytes("a"), text);
    await store.put("originals/b", bytes("b"), text);
    await store.delete(["originals/a", "originals/none"]);
    await store.delete(["originals/a"]);
    await store.delete([]);
    assert.equal(await store.head("originals/a"), undefined);
    assert.deepEqual(await keys(store, ""), ["originals/b"]);
  });

  test("a body left unread can be cancelled", async ({ store }) => {
    await store.put("k", new Uint8Array(1 << 20), text);
    const object = await store.get("k");
    const reader = object?.body.getReader();
    await reader?.read();
    await reader?.cancel();
    await store.delete(["k"]);
  });

  test("list gives keys in the order of their bytes, below a prefix alone", async ({ store }) => {
    // By UTF-16 units the emoji would come before the full-width tilde.
    const ordered = [
      "p/a b+c&d.jpg",
      "p/a!",
      "p/a-b",
      "p/a/1",
      "p/a/2/3",
      "p/a0",
      "p/b%2f",
      "p/b%41",
      "p/é",
      "p/～",
      "p/😀",
    ];
    for (const key of [...ordered].reverse()) await store.put(key, bytes(key), text);
    await store.put("q", bytes("q"), text);
    assert.deepEqual(await keys(store, "p/"), ordered);
    assert.deepEqual(await keys(store, "p"), ordered);
    assert.deepEqual(await keys(store, "p/a/"), ["p/a/1", "p/a/2/3"]);
    assert.deepEqual(await keys(store, "p/b%"), ["p/b%2f", "p/b%41"]);
    assert.deepEqual(await keys(store, ""), [...ordered, "q"]);
    assert.deepEqual(await keys(store, "p/none"), []);
    assert.deepEqual(await keys(store, "../"), []);
  });

  test("list says how long and how old each object is", async ({ store }) => {
    const before = Date.now();
    await store.put("k", bytes("four"), text);
    for await (const { byteLength, modifiedAt } of store.list("k")) {
      assert.equal(byteLength, 4);
      assert(modifiedAt.getTime() >= before - 1000 && modifiedAt.getTime() <= Date.now() + 1000);
    }
    assert.deepEqual(await keys(store, "k"), ["k"]);
  });

  test("over a thousand objects are listed and deleted", async ({ store }) => {
    const many = Array.from({ length: 1003 }, (_, index) => `v/${String(index).padStart(4, "0")}`);
    for (let first = 0; first < many.length; first += 25) {
      const put = (key: string) => store.put(key, bytes(key), text);
      await Promise.all(many.slice(first, first + 25).map(put));
    }
    assert.deepEqual(await keys(store, "v/"), many);
    await store.delete(many);
    assert.deepEqual(await keys(store, ""), []);
  });

  test("keys may be of any language, with spaces and signs", async (subject) => {
    const { store } = subject;
    for (const key of ["originals/ä é/写真 1.jpg", "originals/a+b=c&d?e#f%41~'(*)!;,@$:[]\"<>"]) {
      await store.put(key, bytes(key), text);
      assert.equal(await textOf((await store.get(key))?.body), key);
      const presigned = await presign(store, { key });
      await send(presigned, bytes("uploaded")).then(accepted);
      assert.equal(await textOf((await store.get(key))?.body), "uploaded");
      await store.delete([key]);
      assert.equal(await store.head(key), undefined);
    }
  });

  test("what cannot be a key is refused everywhere", async ({ store }) => {
    const wrong = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\0b", "a\nb", "\ud800"];
    for (const key of [...wrong, "x".repeat(1025), "😀".repeat(257)]) {
      await assert.rejects(store.put(key, bytes("x"), text), InvalidKey);
      await assert.rejects(store.get(key), InvalidKey);
      await assert.rejects(store.head(key), InvalidKey);
      await assert.rejects(store.delete([key]), InvalidKey);
      await assert.rejects(presign(store, { key }), InvalidKey);
    }
    assert.deepEqual(await keys(store, ""), []);
  });

  test("a reader during an overwrite gets one version whole", async ({ store }) => {
    const versions = ["a", "b", "c"].map((letter) => bytes(letter.repeat(300_000)));
    const [first = bytes("")] = versions;
    await store.put("k", first, { contentType: "version/a" });
    let writing = true;
    const write = async () => {
      for (let round = 1; round <= 30; round++) {
        const version = versions[round % 3] ?? first;
        const contentType = `version/${"abc".charAt(round % 3)}`;
        await store.put("k", version, { contentType });
      }
      writing = false;
    };
    const read = async () => {
      do {
        const object = await store.get("k");
        const got = await textOf(object?.body);
        const letter = got.charAt(0);
        assert.equal(got, letter.repeat(300_000));
        assert.equal(object?.head.contentType, `version/${letter}`);
      } while (writing);
    };
    await Promise.all([write(), read(), read(), read()]);
  });

  test("a presigned PUT stores the body with its type", async ({ store }) => {
    const before = Date.now();
    const presigned = await presign(store, { expiresInSeconds: 600 });
    const expiresIn = presigned.expiresAt.getTime() - before;
    assert(expiresIn > 598_000 && expiresIn < 602_000);
    const answer = await send(presigned, bytes("uploaded"));
    await accepted(answer);
    const head = await store.head("originals/o/m");
    assert.equal(answer.headers.get("etag"), head?.etag);
    assert.equal(head?.contentType, "image/jpeg");
    assert.equal(head?.byteLength, 8);
    assert.equal(await textOf((await store.get("originals/o/m"))?.body), "uploaded");
  });

  test("a presigned PUT may be sent again until it expires, and overwrites", async ({ store }) => {
    const presigned = await presign(store, {});
    await send(presigned, bytes("uploaded")).then(accepted);
    await send(presigned, bytes("replaced")).then(accepted);
    assert.equal(await textOf((await store.get("originals/o/m"))?.body), "replaced");
  });

  test("a presigned PUT refuses a longer and a shorter body", async ({ store }) => {
    const presigned = await presign(store, {});
    await send(presigned, bytes("uploaded and more")).then(refused(403, "SignatureDoesNotMatch"));
    await send(presigned, bytes("upload")).then(refused(403, "SignatureDoesNotMatch"));
    assert.deepEqual(await keys(store, ""), []);
  });

  test("a presigned PUT refuses a body of no declared length", async ({ store }) => {
    const { url, headers } = await presign(store, {});
    const body = ReadableStream.from([bytes("uploaded")]);
    const answer = await fetch(url, { method: "PUT", headers, body });
    await answer.body?.cancel();
    // S3 itself answers 411; a server may find the signature broken before.
    assert([411, 403].includes(answer.status), `answered ${answer.status}`);
    assert.deepEqual(await keys(store, ""), []);
  });

  test("a presigned PUT refuses another content type", async ({ store }) => {
    const presigned = await presign(store, {});
    const other = { ...presigned, headers: { "content-type": "text/html" } };
    await send(other, bytes("uploaded")).then(refused(403, "SignatureDoesNotMatch"));
    assert.deepEqual(await keys(store, ""), []);
  });

  test("a presigned PUT refuses another key, signature, host or expiry", async ({ store }) => {
    const { url, headers } = await presign(store, {});
    const tampered = (change: (url: URL) => void) => {
      const changed = new URL(url);
      change(changed);
      return send({ url: changed.href, headers }, bytes("uploaded"));
    };
    const mismatch = refused(403, "SignatureDoesNotMatch");
    await tampered((url) => url.pathname = url.pathname.replace("/o/m", "/o/n")).then(mismatch);
    await tampered((url) => {
      const signature = url.searchParams.get("X-Amz-Signature") ?? "";
      const last = signature.endsWith("0") ? "1" : "0";
      url.searchParams.set("X-Amz-Signature", signature.slice(0, -1) + last);
    }).then(mismatch);
    await tampered((url) => url.searchParams.set("X-Amz-Expires", "3600")).then(mismatch);
    await tampered((url) => url.hostname = "localhost").then(mismatch);
    assert.deepEqual(await keys(store, ""), []);
  });

  test("a presigned PUT refuses once it has expired", async (subject) => {
    const anHourAgo = await subject.signingAt(new Date(Date.now() - 3600_000));
    const presigned = await presign(anHourAgo, { expiresInSeconds: 1 });
    await anHourAgo.close();
    assert(presigned.expiresAt.getTime() < Date.now());
    await send(presigned, bytes("uploaded")).then(refused(403, "AccessDenied"));
    assert.deepEqual(await keys(subject.store, ""), []);
  });

  // Some servers keep what came (versitygw 1.7 does), so whoever signed compares the length.
  test("an upload that breaks off is never taken for a whole one", async ({ store }) => {
    const { url } = await presign(store, { byteLength: 1_000_000 });
    await sendPart(new URL(url), 1_000_000, new Uint8Array(300_000));
    assert.notEqual((await store.head("originals/o/m"))?.byteLength, 1_000_000);
  });

  test("a presigned PUT opens nothing to read, and without one nothing opens", async ({ store }) => {
    const { url } = await presign(store, {});
    await store.put("originals/o/m", bytes("uploaded"), text);
    const plain = url.slice(0, url.indexOf("?"));
    for (const address of [url, plain]) {
      for (const method of ["GET", "HEAD"]) {
        const answer = await fetch(address, { method });
        assert.equal(answer.status, 403);
        await answer.body?.cancel();
      }
    }
    await send({ url: plain, headers: {} }, bytes("replaced")).then(refused(403, "AccessDenied"));
    assert.equal(await textOf((await store.get("originals/o/m"))?.body), "uploaded");
  });
}

const text = { contentType: "text/plain" };

function presign(
  store: ObjectStore,
  object: Partial<Parameters<ObjectStore["presignPut"]>[0]>,
): Promise<PresignedPut> {
  return store.presignPut({
    key: "originals/o/m",
    contentType: "image/jpeg",
    byteLength: 8,
    expiresInSeconds: 60,
    ...object,
  });
}

function send(
  { url, headers }: Pick<PresignedPut, "url" | "headers">,
  body: Uint8Array<ArrayBuffer>,
): Promise<Response> {
  return fetch(url, { method: "PUT", headers, body });
}

/** Sends less than it promises, then ends its side; resolves when the server has ended its own. */
async function sendPart(url: URL, byteLength: number, part: Uint8Array): Promise<void> {
  using connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
  const start = `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n` +
    `Content-Type: image/jpeg\r\nContent-Length: ${byteLength}\r\nConnection: close\r\n\r\n`;
  for (const bytes of [new TextEncoder().encode(start), part]) {
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  }
  await connection.closeWrite();
  const answer = new Uint8Array(4096);
  while (await connection.read(answer).catch(() => null) !== null);
}

async function accepted(answer: Response): Promise<void> {
  assert.equal(answer.status, 200, await answer.text());
}

function refused(status: number, code: string): (answer: Response) => Promise<void> {
  return async (answer) => {
    const body = await answer.text();
    assert.equal(answer.status, status, body);
    assert.match(body, new RegExp(`<Code>${code}</Code>`));
  };
}

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text));
}

function textOf(body: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return new Response(body).text();
}
