import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { find } from "../stack/process.ts";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];

/** What the page's script is given, and what it resolves to. */
interface Uploaded {
  /** Of the PUT as it was signed, with another length and with another content type. */
  readonly put: number;
  readonly longer: number | "failed";
  readonly otherType: number | "failed";
  /** Pixels of the medium variant as the browser shows it. */
  readonly shown: readonly [number, number];
}

/** What a page has and these types lack. */
interface Page {
  Image: new () => {
    src: string;
    decode(): Promise<void>;
    readonly naturalWidth: number;
    readonly naturalHeight: number;
  };
}

/**
 * In a real browser, by a page of an origin of its own: the interface, the store that the photograph
 * is sent to, and the CDN that its variant comes from are all others. What is not as it was signed
 * is refused by the store.
 */
export async function browserUpload(
  baseUrl: string,
  photo: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const client = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } }),
  );
  const browser = await chromium.launch({ executablePath: await find("chromium"), args: flags });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${client.addr.port}/`);
    const { put, longer, otherType, shown } = await page.evaluate(inBrowser, {
      baseUrl,
      photo: photo.toBase64(),
      handle: `browser_${crypto.randomUUID().slice(0, 8)}`,
    });
    assert.ok(put >= 200 && put < 300, `the store answered ${put}`);
    for (const refused of [longer, otherType]) {
      assert.ok(refused === "failed" || refused === 403 || refused === 400, `${refused}`);
    }
    assert.deepEqual(shown, [600, 450]);
  } finally {
    await browser.close();
    await client.shutdown();
  }
}

/** Runs in the page. */
async function inBrowser(
  given: { baseUrl: string; photo: string; handle: string },
): Promise<Uploaded> {
  const bytes = Uint8Array.from(atob(given.photo), (character) => character.charCodeAt(0));
  let token = "";
  const api = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(given.baseUrl + path, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return await answer.json();
  };
  const account = { handle: given.handle, password: "correct horse battery" };
  token = (await api("POST", "/v1/accounts", account)).accessToken;
  const sign = () =>
    api("POST", "/v1/media", { contentType: "image/jpeg", byteLength: bytes.length });
  // The browser says the length itself, and keeps a page from saying another.
  type Upload = { method: string; url: string; headers: Record<string, string> };
  const send = async ({ method, url, headers }: Upload, body: Blob, type = "image/jpeg") => {
    const its = Object.entries(headers).filter(([name]) => !/^(content-length|host)$/i.test(name));
    const said = Object.fromEntries(
      its.map(([name, value]) => [name, /^content-type$/i.test(name) ? type : value]),
    );
    return (await fetch(url, { method, headers: said, body })).status;
  };
  const failed = () => "failed" as const;
  const longer = await send((await sign()).upload, new Blob([bytes, "more"])).catch(failed);
  const otherType = await send((await sign()).upload, new Blob([bytes]), "image/png").catch(failed);

  const { mediaId, upload } = await sign();
  const put = await send(upload, new Blob([bytes]));
  await api("POST", `/v1/media/${mediaId}/complete`);
  let media: { status?: string; variants?: { medium: { url: string } } };
  do {
    await new Promise((resolve) => setTimeout(resolve, 100));
    media = await api("GET", `/v1/media/${mediaId}`);
  } while (media.status === undefined || media.status === "processing" || Number(media.status));
  const image = new (globalThis as unknown as Page).Image();
  image.src = media.variants?.medium.url ?? "";
  await image.decode();
  return { put, longer, otherType, shown: [image.naturalWidth, image.naturalHeight] };
}
