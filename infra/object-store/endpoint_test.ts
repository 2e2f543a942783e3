import assert from "node:assert/strict";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import fc from "fast-check";
import { localEndpoint } from "./endpoint.ts";
import { localOptions, temporaryStore } from "./local-fixture.ts";
import type { ObjectStore, PresignedPut } from "./port.ts";

const signed = new Date("2026-06-01T12:00:00Z");

Deno.test("localEndpoint: whatever the SDK presigns is accepted, any one change to it refused", async () => {
  await using temporary = await temporaryStore({ now: () => signed });
  const handle = localEndpoint(temporary.store);
  const part = fc.string({
    unit: fc.oneof(
      fc.constantFrom(..."aZ09-_.~ !'()*+&=?#%:@\"ü写😀"),
      fc.string({ maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 12,
  });
  const object = fc.record({
    key: fc.array(part, { minLength: 1, maxLength: 3 })
      .map((parts) => `originals/${parts.join("/")}`)
      .filter((key) => !/\/\.\.?(\/|$)/.test(key) && !/\/(\/|$)/.test(key.slice(9))),
    contentType: fc.constantFrom("image/jpeg", "image/heic", "text/plain; charset=utf-8"),
    byteLength: fc.integer({ min: 0, max: 40 }),
    expiresInSeconds: fc.integer({ min: 1, max: 604_800 }),
  });
  await fc.assert(
    fc.asyncProperty(object, fc.nat(), fc.nat(), async (object, where, how) => {
      const { url, headers } = await temporary.store.presignPut(object);
      const body = new Uint8Array(object.byteLength);
      const accepted = await handle(putRequest(url, headers, body));
      assert.equal(accepted.status, 200, await accepted.text());
      assert.equal((await temporary.store.head(object.key))?.byteLength, object.byteLength);
      await temporary.store.delete([object.key]);

      for (const changed of changes({ url, headers, body }, where, how)) {
        const answer = await handle(putRequest(changed.url, changed.headers, changed.body));
        assert(answer.status >= 400 && answer.status < 500, `${changed.url} is accepted`);
        await answer.body?.cancel();
        for await (const { key } of temporary.store.list("")) assert.fail(`${key} is stored`);
      }
    }),
    { numRuns: 150 },
  );
});

/** One change each: of every query parameter, of every header, of a character of the path. */
function* changes(request: Put, where: number, how: number): Generator<Put> {
  const { url, headers, body } = request;
  const { searchParams } = new URL(url);
  for (const [name, value] of searchParams) {
    const at = where % value.length;
    const replaced = other(value.charAt(at), how);
    for (const changed of [value.slice(0, at) + replaced + value.slice(at + 1), undefined]) {
      const altered = new URL(url);
      if (changed === undefined) altered.searchParams.delete(name);
      else altered.searchParams.set(name, changed);
      yield { ...request, url: altered.href };
    }
    yield { ...request, url: `${url}&${name}=${encodeURIComponent(value)}` };
  }
  yield { ...request, url: `${url}&a=b` };
  yield { ...request, headers: { "content-type": `${headers["content-type"]}x` } };
  yield { ...request, headers: {} };
  yield { ...request, headers: { ...headers, host: "127.0.0.1:8001" } };
  yield { ...request, headers: { ...headers, "x-amz-acl": "public-read" } };
  yield { ...request, body: new Uint8Array(body.length + 1) };
  const { pathname } = new URL(url);
  const segments = pathname.split("/").map(decodeURIComponent);
  const decoded = segments.join("/");
  const at = 1 + where % (decoded.length - 1);
  if (decoded.charAt(at) === "/" || !decoded.charAt(at).isWellFormed()) return;
  const changed = decoded.slice(0, at) + other(decoded.charAt(at), how) + decoded.slice(at + 1);
  const path = changed.split("/").map(encodeURIComponent).join("/");
  yield { ...request, url: url.replace(pathname, () => path) };
}

function other(character: string, how: number): string {
  const choices = [..."0123456789abcdefABCDEF"].filter((choice) => choice !== character);
  return choices[how % choices.length] ?? "x";
}

Deno.test("localEndpoint: what is wrong with a signature is said as S3 says it", async () => {
  let now = signed;
  await using temporary = await temporaryStore({ now: () => now });
  const { store } = temporary;
  const handle = localEndpoint(store);
  const { url, headers } = await presign(store);
  const answers = async (change: (parameters: URLSearchParams) => void) => {
    const changed = new URL(url);
    change(changed.searchParams);
    return await codeOf(await handle(putRequest(changed.href, headers, new Uint8Array(8))));
  };
  const set = (name: string, value: string) =>
    answers((parameters) => parameters.set(`X-Amz-${name}`, value));
  const malformed = [400, "AuthorizationQueryParametersError"];
  assert.deepEqual(await set("Algorithm", "AWS4-HMAC-SHA512"), malformed);
  assert.deepEqual(await set("Date", "2026-06-01"), malformed);
  assert.deepEqual(await set("Date", "20261301T000000Z"), malformed);
  for (const expires of ["", "-1", "0", "1.5", "604801"]) {
    assert.deepEqual(await set("Expires", expires), malformed);
  }
  for (
    const scope of [
      "20260531/us-east-1/s3/aws4_request",
      "20260601/eu-west-1/s3/aws4_request",
      "20260601/us-east-1/sqs/aws4_request",
      "20260601/us-east-1/s3",
    ]
  ) assert.deepEqual(await set("Credential", `test-key/${scope}`), malformed);
  const credential = "another-key/20260601/us-east-1/s3/aws4_request";
  assert.deepEqual(await set("Credential", credential), [403, "InvalidAccessKeyId"]);
  assert.deepEqual(await set("SignedHeaders", "content-length"), [403, "AccessDenied"]);
  assert.deepEqual(await set("SignedHeaders", "host;Content-Type"), malformed);
  assert.deepEqual(await set("SignedHeaders", "host"), [403, "SignatureDoesNotMatch"]);
  assert.deepEqual(await set("Signature", "short"), [403, "SignatureDoesNotMatch"]);
  const twice = await answers((parameters) => parameters.append("X-Amz-Expires", "60"));
  assert.deepEqual(twice, malformed);
  const unsigned = await answers((parameters) => parameters.delete("X-Amz-Signature"));
  assert.deepEqual(unsigned, [403, "AccessDenied"]);
  const stray = await handle(putRequest(`${url}&%zz=1`, headers, new Uint8Array(8)));
  assert.deepEqual(await codeOf(stray), [400, "InvalidURI"]);

  const at = async (milliseconds: number) => {
    now = new Date(signed.getTime() + milliseconds);
    const answer = await handle(putRequest(url, headers, new Uint8Array(8)));
    const body = await answer.text();
    return answer.status === 200 ? "accepted" : /<Message>(.*)<\/Message>/.exec(body)?.[1];
  };
  assert.equal(await at(59_999), "accepted");
  assert.equal(await at(60_000), "Request has expired");
  assert.equal(await at(-15 * 60_000), "accepted");
  assert.equal(await at(-15 * 60_000 - 1), "Request is not valid yet");
});

Deno.test("localEndpoint: only originals are written, in this bucket, whatever is signed", async () => {
  await using temporary = await temporaryStore();
  const handle = localEndpoint(temporary.store);
  const { bucket, ...options } = localOptions("");
  const client = new S3Client({ ...options, credentials: options, forcePathStyle: true });
  const put = async (Bucket: string, Key: string) => {
    const command = new PutObjectCommand({ Bucket, Key });
    const url = await getSignedUrl(client, command, { expiresIn: 60 });
    return await codeOf(await handle(verbatim(putRequest(url, {}, new Uint8Array(1)), url)));
  };
  assert.deepEqual(await put(bucket, "originals/a"), [200, undefined]);
  for (
    const key of ["variants/a", "originals", "originalsx/a", "originals/../variants/a", "b//a"]
  ) {
    assert.deepEqual(await put(bucket, key), [403, "AccessDenied"], key);
  }
  assert.deepEqual(await put("bucket2", "originals/a"), [403, "AccessDenied"]);
  const keys: string[] = [];
  for await (const { key } of temporary.store.list("")) keys.push(key);
  assert.deepEqual(keys, ["originals/a"]);
  client.destroy();
});

Deno.test("localEndpoint: originals are never read, listed or deleted, also by a signed URL", async () => {
  await using temporary = await temporaryStore();
  const handle = localEndpoint(temporary.store);
  const { url } = await presign(temporary.store);
  await temporary.store.put("originals/o/m", new Uint8Array(8), { contentType: "image/jpeg" });
  for (const method of ["GET", "HEAD", "POST", "DELETE"]) {
    for (const address of [url, url.slice(0, url.indexOf("?"))]) {
      const answer = await handle(new Request(address, { method }));
      assert.deepEqual(await codeOf(answer), [403, "AccessDenied"]);
    }
  }
  assert(await temporary.store.head("originals/o/m"));
});

Deno.test("localEndpoint: a browser may send the PUT from any origin, and nothing else", async () => {
  await using temporary = await temporaryStore();
  const handle = localEndpoint(temporary.store);
  const { url, headers } = await presign(temporary.store);
  const preflight = (method: string, headers?: string) =>
    handle(
      new Request(url, {
        method: "OPTIONS",
        headers: {
          origin: "https://example.org",
          "access-control-request-method": method,
          ...(headers !== undefined && { "access-control-request-headers": headers }),
        },
      }),
    );
  const allowed = await preflight("PUT", "content-type");
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get("access-control-allow-origin"), "*");
  assert.equal(allowed.headers.get("access-control-allow-methods"), "PUT");
  assert.equal(allowed.headers.get("access-control-allow-headers"), "content-type");
  assert.equal((await preflight("PUT")).status, 204);
  assert.deepEqual(await codeOf(await preflight("GET")), [403, "AccessForbidden"]);
  assert.deepEqual(await codeOf(await preflight("PUT", "x-amz-acl")), [403, "AccessForbidden"]);

  // A page sees the outcome, good or bad.
  for (const type of ["image/jpeg", "text/html"]) {
    const answer = await handle(
      putRequest(url, { ...headers, "content-type": type }, new Uint8Array(8)),
    );
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    assert.equal(answer.headers.get("access-control-expose-headers"), "ETag");
    await answer.body?.cancel();
  }
});

Deno.test("localEndpoint: a body longer or shorter than declared, or broken off, leaves nothing", async () => {
  await using temporary = await temporaryStore();
  const handle = localEndpoint(temporary.store);
  const { url, headers } = await presign(temporary.store);
  const declared = { ...headers, "content-length": "8" };
  const failing = async function* () {
    yield new Uint8Array(4);
    await Promise.reject(new Error("connection reset"));
  };
  const bodies = [
    ReadableStream.from([new Uint8Array(4), new Uint8Array(5)]),
    ReadableStream.from([new Uint8Array(4), new Uint8Array(3)]),
    ReadableStream.from(failing()),
    null,
  ];
  for (const body of bodies) {
    const answer = await handle(new Request(url, { method: "PUT", headers: declared, body }));
    assert.deepEqual(await codeOf(answer), [400, "IncompleteBody"]);
  }
  const endless = ReadableStream.from([new Uint8Array(8)]);
  const undeclared = await handle(new Request(url, { method: "PUT", headers, body: endless }));
  assert.deepEqual(await codeOf(undeclared), [411, "MissingContentLength"]);
  for await (const { key } of temporary.store.list("")) assert.fail(`${key} is stored`);
  assert.deepEqual(await stagedFiles(temporary.folder), []);
});

Deno.test("localEndpoint: over HTTP, an upload that breaks off leaves nothing", async () => {
  const folder = await Deno.makeTempDir();
  const endpoint = Promise.withResolvers<ReturnType<typeof localEndpoint>>();
  const answered = Promise.withResolvers<Response>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const answer = await (await endpoint.promise)(request);
      answered.resolve(answer.clone());
      return answer;
    },
  );
  const origin = `http://127.0.0.1:${server.addr.port}`;
  await using temporary = await temporaryStore({ folder, endpoint: `${origin}/store` });
  endpoint.resolve(localEndpoint(temporary.store));
  const { url } = await temporary.store.presignPut({
    key: "originals/o/m",
    contentType: "image/jpeg",
    byteLength: 1_000_000,
    expiresInSeconds: 60,
  });
  const { pathname, search, host, port } = new URL(url);
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  const start = `PUT ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n` +
    `Content-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n`;
  await connection.write(new TextEncoder().encode(start + "half of it"));
  connection.close();
  assert.deepEqual(await codeOf(await answered.promise), [400, "IncompleteBody"]);
  assert.equal(await temporary.store.head("originals/o/m"), undefined);
  assert.deepEqual(await stagedFiles(folder), []);
  await server.shutdown();
});

Deno.test("localEndpoint: 50 MB go to disk as they come, never more than 128 KiB in memory", async () => {
  await using temporary = await temporaryStore();
  const handle = localEndpoint(temporary.store);
  const byteLength = 50 * 1024 * 1024;
  const { url, headers } = await temporary.store.presignPut({
    key: "originals/o/m",
    contentType: "image/jpeg",
    byteLength,
    expiresInSeconds: 60,
  });
  let taken = 0;
  let mostHeld = 0;
  const body = new ReadableStream({
    async pull(controller) {
      const [staged] = await stagedFiles(temporary.folder);
      const written = staged === undefined ? 0 : (await Deno.stat(staged)).size;
      mostHeld = Math.max(mostHeld, taken - written);
      if (taken === byteLength) return controller.close();
      const chunk = new Uint8Array(64 * 1024).fill(taken / (64 * 1024));
      taken += chunk.length;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
  const answer = await handle(
    new Request(url, {
      method: "PUT",
      headers: { ...headers, "content-length": String(byteLength) },
      body,
    }),
  );
  assert.equal(answer.status, 200);
  assert(mostHeld <= 128 * 1024, `${mostHeld} bytes were held`);
  assert.equal((await temporary.store.head("originals/o/m"))?.byteLength, byteLength);
  assert.deepEqual(await stagedFiles(temporary.folder), []);
});

Deno.test("localEndpoint: a length over S3's 5 GiB and a type over 255 characters are refused", async () => {
  await using temporary = await temporaryStore();
  const handle = localEndpoint(temporary.store);
  const put = async (contentType: string, byteLength: number) => {
    const object = { key: "originals/o/m", contentType, byteLength, expiresInSeconds: 60 };
    const { url, headers } = await temporary.store.presignPut(object);
    const declared = { ...headers, "content-length": String(byteLength) };
    return await codeOf(await handle(new Request(url, { method: "PUT", headers: declared })));
  };
  assert.deepEqual(await put("image/jpeg", 5 * 1024 ** 3 + 1), [400, "EntityTooLarge"]);
  assert.deepEqual(await put(`image/${"x".repeat(250)}`, 8), [400, "InvalidArgument"]);
});

interface Put {
  readonly url: string;
  readonly headers: PresignedPut["headers"];
  readonly body: Uint8Array<ArrayBuffer>;
}

function presign(store: ObjectStore): Promise<PresignedPut> {
  return store.presignPut({
    key: "originals/o/m",
    contentType: "image/jpeg",
    byteLength: 8,
    expiresInSeconds: 60,
  });
}

/** As it arrives from a client: with the length of its body. */
function putRequest(
  url: string,
  headers: PresignedPut["headers"],
  body: Uint8Array<ArrayBuffer>,
): Request {
  const request = new Request(url, { method: "PUT", body });
  request.headers.delete("content-type");
  request.headers.set("content-length", String(body.length));
  for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
  return request;
}

/** A server passes the URL on as it was sent, where `new Request` would resolve `..` in it. */
function verbatim(request: Request, url: string): Request {
  return Object.defineProperty(request, "url", { value: url });
}

async function codeOf(answer: Response): Promise<[number, string | undefined]> {
  return [answer.status, /<Code>(.*)<\/Code>/.exec(await answer.text())?.[1]];
}

async function stagedFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  const staging = `${folder}/bucket/staging`;
  for await (const { name, isDirectory } of Deno.readDir(staging)) {
    if (!isDirectory) continue;
    for await (const file of Deno.readDir(`${staging}/${name}`)) {
      if (file.name !== "claim") files.push(`${staging}/${name}/${file.name}`);
    }
  }
  return files;
}
