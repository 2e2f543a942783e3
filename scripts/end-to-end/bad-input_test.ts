import assert from "node:assert/strict";
import sharp from "sharp";
import { type Answer, ShutterlogClient } from "../client/client.ts";
import type { SignedUpload } from "../client/types.ts";
import { badFiles } from "../photos/bad.ts";
import { drawPhoto } from "../photos/photo.ts";
import { withServer } from "./server.ts";

const password = "correct horse battery";

async function newcomer(baseUrl: string, handle: string): Promise<ShutterlogClient> {
  const client = new ShutterlogClient(baseUrl);
  await client.register({ handle, password });
  return client;
}

/** The answer is a problem document with this status and code, and gives nothing away. */
function assertProblem(answer: Answer, status: number, code: string): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  const problem = JSON.parse(answer.text);
  assert.equal(problem.type, `/problems/${code}`);
  assert.equal(problem.status, status);
  assert.ok(problem.title && problem.detail && problem.instance, answer.text);
  assert.ok(!/\bat .*\.ts:|SELECT |node_modules/.test(answer.text), answer.text);
}

Deno.test("bad files: each is refused or rejected with its reason, and the next one still works", async (t) => {
  await withServer(async ({ baseUrl }) => {
    const ada = await newcomer(baseUrl, "ada");
    for (const file of badFiles) {
      await t.step(file.name, async () => {
        const bytes = await file.bytes();
        const { outcome, contentType } = file;
        if (outcome.status === "unsigned") {
          const body = { contentType, byteLength: bytes.length };
          assertProblem(await ada.request("POST", "/v1/media", { body }), 422, "invalid-body");
          return;
        }
        const media = await ada.waitForMedia(await ada.upload(contentType, bytes));
        assert.equal(media.status, outcome.status, media.reason ?? "");
        if (outcome.status === "rejected") assert.equal(media.reason, outcome.reason);
        else assert.deepEqual([media.width, media.height], [outcome.width, outcome.height]);
      });
    }

    await t.step("a CMYK JPEG is accepted, its colours right", async () => {
      const colour = { r: 30, g: 120, b: 190 };
      const cmyk = await sharp({
        create: { width: 400, height: 300, channels: 3, background: colour },
      })
        .toColourspace("cmyk").jpeg({ quality: 95 }).toBuffer();
      assert.equal((await sharp(cmyk).metadata()).space, "cmyk");
      const expected = await sharp(cmyk).toColourspace("srgb").raw().toBuffer();
      const media = await ada.waitForMedia(await ada.upload("image/jpeg", new Uint8Array(cmyk)));
      const variant = await fetch(media.variants?.medium.url ?? "");
      const shown = await sharp(await variant.bytes()).removeAlpha().raw().toBuffer();
      for (const channel of [0, 1, 2]) {
        const [is = 0, was = 0] = [shown[channel], expected[channel]];
        assert.ok(Math.abs(is - was) <= 4, `${[...shown.subarray(0, 3)]}`);
      }
    });

    await t.step("after all of it a photograph becomes ready", async () => {
      const photo = await drawPhoto({ seed: 5, size: { width: 900, height: 600 } });
      const media = await ada.waitForMedia(await ada.upload("image/jpeg", photo.bytes));
      assert.equal(media.status, "ready");
    });
  });
});

Deno.test("bad uploads: the store takes what was signed and nothing else", async (t) => {
  await withServer(async ({ baseUrl }) => {
    const ada = await newcomer(baseUrl, "ada");
    const { bytes } = await drawPhoto({ seed: 6, size: { width: 400, height: 300 } });
    const sign = () => ada.signUpload({ contentType: "image/jpeg", byteLength: bytes.length });
    const put = async (
      { upload }: SignedUpload,
      body: Uint8Array<ArrayBuffer>,
      change: { url?: (url: URL) => void; headers?: Record<string, string> } = {},
    ) => {
      const url = new URL(upload.url);
      change.url?.(url);
      const response = await fetch(url, {
        method: upload.method,
        headers: { ...upload.headers, ...change.headers },
        body,
      });
      return { status: response.status, text: await response.text() };
    };
    /** Refused by the store, and nothing was stored: complete says so. */
    const refused = async (signed: SignedUpload, answer: { status: number; text: string }) => {
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status} ${answer.text}`);
      assert.match(answer.text, /<Code>\w+<\/Code>/);
      const complete = await ada.request("POST", `/v1/media/${signed.mediaId}/complete`);
      assertProblem(complete, 422, "media-not-uploaded");
    };

    const cases: Record<string, (signed: SignedUpload) => ReturnType<typeof put>> = {
      "a longer body": (signed) => put(signed, new Uint8Array([...bytes, 0])),
      "a shorter body": (signed) => put(signed, bytes.slice(0, -1)),
      "an empty body": (signed) => put(signed, new Uint8Array()),
      "another type": (signed) => put(signed, bytes, { headers: { "content-type": "text/html" } }),
      "a changed signature": (signed) =>
        put(signed, bytes, {
          url: (url) => {
            const signature = url.searchParams.get("X-Amz-Signature") ?? "";
            const flipped = (signature[0] === "0" ? "1" : "0") + signature.slice(1);
            url.searchParams.set("X-Amz-Signature", flipped);
          },
        }),
      "a changed key": (signed) =>
        put(signed, bytes, { url: (url) => url.pathname = url.pathname.replace(/.$/, "0") + "0" }),
      "a longer life": (signed) =>
        put(signed, bytes, { url: (url) => url.searchParams.set("X-Amz-Expires", "604800") }),
      "an earlier date": (signed) =>
        put(signed, bytes, {
          url: (url) => url.searchParams.set("X-Amz-Date", "20200101T000000Z"),
        }),
      "no signature": (signed) => put(signed, bytes, { url: (url) => url.search = "" }),
    };
    for (const [name, send] of Object.entries(cases)) {
      await t.step(name, async () => {
        const signed = await sign();
        await refused(signed, await send(signed));
      });
    }

    await t.step("complete before the PUT, then the PUT, then complete", async () => {
      const signed = await sign();
      const complete = () => ada.request("POST", `/v1/media/${signed.mediaId}/complete`);
      assertProblem(await complete(), 422, "media-not-uploaded");
      assert.equal((await put(signed, bytes)).status, 200);
      assert.equal((await complete()).status, 202);
      assert.equal((await ada.waitForMedia(signed.mediaId)).status, "ready");
    });

    await t.step("another account's medium in a post, or as an avatar", async () => {
      const mediaId = await ada.upload("image/jpeg", bytes);
      const bob = await newcomer(baseUrl, "bob");
      const post = await bob.request("POST", "/v1/posts", { body: { mediaIds: [mediaId] } });
      assertProblem(post, 422, "media-not-uploaded");
      const avatar = await bob.request("PATCH", "/v1/me", { body: { avatarMediaId: mediaId } });
      assertProblem(avatar, 422, "media-not-uploaded");
      const complete = await bob.request("POST", `/v1/media/${mediaId}/complete`);
      assertProblem(complete, 422, "media-not-uploaded");
    });
  });
});

Deno.test("bad requests: each gets a problem document that says what is wrong", async (t) => {
  await withServer(async ({ baseUrl }) => {
    const ada = await newcomer(baseUrl, "Ada");
    const { bytes } = await drawPhoto({ seed: 8, size: { width: 300, height: 200 } });
    const mediaId = await ada.upload("image/jpeg", bytes);
    const { postId } = await ada.createPost({ mediaIds: [mediaId] });
    await ada.post(postId, { await: true });
    const token = `Bearer ${ada.session?.accessToken}`;

    /** A body as it stands, since a client would not send it so. */
    const raw = async (
      method: string,
      path: string,
      body: BodyInit | null,
      headers: Record<string, string> = {},
    ): Promise<Answer> => {
      const response = await fetch(baseUrl + path, {
        method,
        body,
        headers: { "content-type": "application/json", authorization: token, ...headers },
      });
      return { status: response.status, headers: response.headers, text: await response.text() };
    };
    const post = (body: unknown) => ada.request("POST", "/v1/posts", { body });
    const ids = Array.from({ length: 11 }, () => mediaId);

    const cases: Record<string, [Promise<Answer>, number, string]> = {
      "eleven media": [post({ mediaIds: ids }), 422, "invalid-body"],
      "no media": [post({ mediaIds: [] }), 422, "invalid-body"],
      "a medium twice": [post({ mediaIds: [mediaId, mediaId] }), 422, "invalid-body"],
      "an unknown field": [post({ mediaIds: [mediaId], place: "here" }), 422, "invalid-body"],
      "a caption of 1 MB": [
        post({ mediaIds: [mediaId], caption: "x".repeat(1024 * 1024) }),
        413,
        "body-too-large",
      ],
      "a caption of 2,201 characters": [
        post({ mediaIds: [mediaId], caption: "x".repeat(2201) }),
        422,
        "invalid-body",
      ],
      "invalid UTF-8": [
        raw("POST", "/v1/posts", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d])),
        400,
        "invalid-utf8",
      ],
      "a lone surrogate": [
        raw("POST", `/v1/posts/${postId}/comments`, '{"text":"\\ud800"}'),
        422,
        "invalid-body",
      ],
      "half of a JSON document": [raw("POST", "/v1/posts", '{"mediaIds":['), 400, "invalid-json"],
      "no body at all": [raw("POST", "/v1/posts", ""), 400, "invalid-json"],
      "a form": [
        raw("POST", "/v1/posts", "a=b", { "content-type": "application/x-www-form-urlencoded" }),
        415,
        "unsupported-media-type",
      ],
      "a handle that differs in case only": [
        ada.request("POST", "/v1/accounts", { body: { handle: "aDA", password } }),
        409,
        "handle-taken",
      ],
      "a handle that is none": [
        ada.request("POST", "/v1/accounts", { body: { handle: "a b", password } }),
        422,
        "invalid-body",
      ],
      "a wrong password": [
        ada.request("POST", "/v1/sessions", {
          body: { handle: "ada", password: "wrong password" },
        }),
        401,
        "invalid-credentials",
      ],
      "an unknown handle": [
        ada.request("POST", "/v1/sessions", { body: { handle: "nobody", password } }),
        401,
        "invalid-credentials",
      ],
      "no token": [raw("GET", "/v1/feed", null, { authorization: "" }), 401, "unauthenticated"],
      "a forged token": [
        raw("GET", "/v1/feed", null, { authorization: `${token}x` }),
        401,
        "unauthenticated",
      ],
      "a post that never was": [
        ada.request("GET", `/v1/posts/${mediaId}`),
        404,
        "post-not-found",
      ],
      "an id that is none": [ada.request("GET", "/v1/posts/1;drop"), 404, "post-not-found"],
      "a limit of 101": [
        ada.request("GET", "/v1/feed", { query: { limit: 101 } }),
        400,
        "invalid-query",
      ],
      "a made-up cursor": [
        ada.request("GET", "/v1/feed", { query: { cursor: "zzz" } }),
        400,
        "invalid-query",
      ],
      "a made-up position": [
        ada.request("GET", "/v1/feed", { headers: { "Await-Position": "yesterday" } }),
        400,
        "invalid-position",
      ],
      "a path that is not there": [ada.request("GET", "/v2/feed"), 404, "not-found"],
      "a method that is not allowed": [
        ada.request("DELETE", "/v1/feed"),
        405,
        "method-not-allowed",
      ],
      "following oneself": [
        ada.request("PUT", `/v1/accounts/${ada.session?.account.id}/follow`),
        422,
        "self-relation",
      ],
      "following nobody": [
        ada.request("PUT", `/v1/accounts/${mediaId}/follow`),
        404,
        "account-not-found",
      ],
    };
    for (const [name, [answer, status, code]] of Object.entries(cases)) {
      await t.step(name, async () => assertProblem(await answer, status, code));
    }

    await t.step("an Idempotency-Key with another body", async () => {
      const first = await ada.comment(postId, "once", { idempotencyKey: "k1" });
      assert.deepEqual(await ada.comment(postId, "once", { idempotencyKey: "k1" }), first);
      const other = await ada.request("POST", `/v1/posts/${postId}/comments`, {
        body: { text: "twice" },
        headers: { "Idempotency-Key": "k1" },
      });
      assertProblem(other, 422, "idempotency-key-reused");
      assert.equal((await ada.post(postId, { await: true })).commentCount, 1);
    });

    await t.step("a refresh token used twice ends the session", async () => {
      const { refreshToken = "" } = ada.session ?? {};
      await ada.refresh();
      const again = await ada.request("POST", "/v1/sessions/refresh", { body: { refreshToken } });
      assertProblem(again, 401, "invalid-refresh-token");
      assertProblem(await ada.request("GET", "/v1/me"), 401, "unauthenticated");
      await ada.signIn({ handle: "ADA", password });
      assert.equal((await ada.me()).handle, "Ada");
    });

    await t.step("nothing is broken after it", async () => {
      assert.equal((await ada.post(postId)).id, postId);
      assert.equal((await fetch(`${baseUrl}/readyz`).then((r) => r.json())).status, "ready");
    });
  });
});
