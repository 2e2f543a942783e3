import assert from "node:assert/strict";
import sharp from "sharp";
import { orientations } from "../photos/exif.ts";
import { drawPhoto } from "../photos/photo.ts";
import { download, mainJob, newcomer, variantsOf } from "./main-job.ts";
import { withServer } from "./server.ts";

async function pixels(bytes: Uint8Array): Promise<Uint8Array> {
  return await sharp(bytes).removeAlpha().raw().toBuffer();
}

/** Mean difference per channel, of 255. */
function difference(a: Uint8Array, b: Uint8Array): number {
  assert.equal(a.length, b.length);
  return a.reduce((sum, value, index) => sum + Math.abs(value - (b[index] ?? 0)), 0) / a.length;
}

Deno.test("the main job, over HTTP: register, upload, post, feed, like, comment, delete", async (t) => {
  await withServer(({ baseUrl }) => mainJob(t, baseUrl));
});

Deno.test("variants over HTTP: upright from all eight orientations, without a trace of metadata", async (t) => {
  await withServer(async ({ baseUrl }) => {
    const ada = await newcomer(baseUrl, "ada");
    const size = { width: 1500, height: 1100 };
    const upload = async (bytes: Uint8Array<ArrayBuffer>, contentType = "image/jpeg") =>
      variantsOf(await ada.waitForMedia(await ada.upload(contentType, bytes)));
    const drawn = (orientation: typeof orientations[number]) =>
      drawPhoto({ seed: 7, scene: "landscape", size, orientation });
    const reference = await sharp((await drawn(1)).bytes).resize(600).removeAlpha().raw()
      .toBuffer();
    const upsideDown = await sharp(reference, { raw: { width: 600, height: 440, channels: 3 } })
      .rotate(180).raw().toBuffer();
    assert.ok(difference(reference, upsideDown) > 20, "the drawing can tell up from down");

    for (const orientation of orientations) {
      await t.step(`orientation ${orientation}`, async () => {
        const photo = await drawn(orientation);
        assert.equal((await sharp(photo.bytes).metadata()).orientation, orientation);
        const { thumbnail, medium, large } = await upload(photo.bytes);
        assert.deepEqual([medium.width, medium.height], [600, 440]);
        assert.deepEqual([large.width, large.height], [1080, 792]);
        const { bytes } = await download(medium.url);
        assert.ok(difference(await pixels(bytes), reference) < 6, "the picture is another");
        for (const { url } of [thumbnail, medium, large]) {
          const { bytes } = await download(url);
          const { exif, xmp, iptc, icc, orientation, space } = await sharp(bytes).metadata();
          assert.deepEqual([exif, xmp, iptc, icc, orientation, space], [
            ...Array(5).fill(undefined),
            "srgb",
          ]);
          const text = new TextDecoder("latin1").decode(bytes);
          for (const trace of ["Exif", "EXIF", "Shutterlog", "GPS", "http://ns.adobe.com"]) {
            assert.ok(!text.includes(trace), trace);
          }
        }
      });
    }

    await t.step("a small picture is not enlarged", async () => {
      const small = await sharp({
        create: { width: 80, height: 60, channels: 3, background: "teal" },
      })
        .png().toBuffer();
      const { thumbnail, medium, large } = await upload(new Uint8Array(small), "image/png");
      assert.deepEqual([thumbnail.width, thumbnail.height], [60, 60]);
      assert.deepEqual([medium.width, medium.height], [80, 60]);
      assert.deepEqual([large.width, large.height], [80, 60]);
    });

    await t.step("a wide-gamut picture comes out in sRGB, its colours kept", async () => {
      const colour = { r: 200, g: 60, b: 40 };
      const p3 = await sharp({
        create: { width: 700, height: 500, channels: 3, background: colour },
      })
        .withIccProfile("p3").png().toBuffer();
      const { medium } = await upload(new Uint8Array(p3), "image/png");
      const [r = 0, g = 0, b = 0] = await pixels((await download(medium.url)).bytes);
      for (const [is, was] of [[r, colour.r], [g, colour.g], [b, colour.b]] as const) {
        assert.ok(Math.abs(is - was) <= 4, `${[r, g, b]}`);
      }
    });
  });
});
