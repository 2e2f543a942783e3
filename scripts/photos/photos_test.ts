import assert from "node:assert/strict";
import sharp from "sharp";
import { orientations, withExif } from "./exif.ts";
import { storeOriented } from "./orientation.ts";
import { drawPhoto } from "./photo.ts";
import { sceneNames } from "./scenes.ts";

const size = { width: 96, height: 64 };

/** Mean absolute difference of two images' RGB values. */
async function difference(a: Uint8Array, b: Uint8Array): Promise<number> {
  const [first, second] = await Promise.all(
    [a, b].map((bytes) => sharp(bytes).autoOrient().removeAlpha().raw().toBuffer()),
  );
  assert(first && second && first.length === second.length);
  return first.reduce((sum, value, at) => sum + Math.abs(value - (second[at] ?? 0)), 0) /
    first.length;
}

Deno.test("drawPhoto: the same seed gives the same bytes, another seed others", async () => {
  const [first, again, other] = await Promise.all(
    [1, 1, 2].map((seed) => drawPhoto({ seed, size, scene: "landscape" })),
  );
  assert.deepEqual(first, again);
  assert.notDeepEqual(first?.bytes, other?.bytes);
});

Deno.test("drawPhoto: however the camera was held, the photo shows upright", async () => {
  for (const scene of sceneNames) {
    const upright = await drawPhoto({ seed: 3, size, scene, orientation: 1 });
    for (const orientation of orientations) {
      const photo = await drawPhoto({ seed: 3, size, scene, orientation });
      const stored = await sharp(photo.bytes).metadata();
      assert.equal(stored.orientation, orientation);
      assert.equal(stored.width, orientation >= 5 ? size.height : size.width);
      const off = await difference(photo.bytes, upright.bytes);
      assert(off < 4, `${scene} stored as ${orientation} is off by ${off}`);
    }
  }
});

Deno.test("storeOriented: pixels go where the Exif standard puts them", () => {
  const upright = { width: 3, height: 2, words: new Uint32Array([1, 2, 3, 4, 5, 6]) };
  const stored = orientations.map((orientation) =>
    [
      ...storeOriented(upright, orientation).words,
    ].join("")
  );
  assert.deepEqual(stored, [
    "123456",
    "321654",
    "654321",
    "456123",
    "142536",
    "362514",
    "635241",
    "415263",
  ]);
});

Deno.test("withExif: camera, time and place can be read back from where the tags point", async () => {
  const { bytes } = await drawPhoto({ seed: 4, size });
  const plain = new Uint8Array(await sharp(bytes).jpeg().toBuffer());
  const tagged = withExif(plain, {
    make: "Maker",
    model: "Model 1",
    orientation: 6,
    takenAt: new Date("2026-03-04T05:06:07Z"),
    position: { latitude: -33.8568, longitude: 151.2153 },
  });
  const { exif, orientation } = await sharp(tagged).metadata();
  assert(exif);
  assert.equal(orientation, 6);
  const tags = readTags(new Uint8Array(exif));
  assert.equal(tags.get("ifd0/10f"), "Maker");
  assert.equal(tags.get("ifd0/110"), "Model 1");
  assert.equal(tags.get("ifd0/132"), "2026:03:04 05:06:07");
  assert.equal(tags.get("8769/9003"), "2026:03:04 05:06:07");
  assert.equal(tags.get("8825/1"), "S");
  assert.equal(tags.get("8825/2"), "33 51 24.48");
  assert.equal(tags.get("8825/3"), "E");
  assert.equal(tags.get("8825/4"), "151 12 55.08");
});

Deno.test("withExif: refuses what is no JPEG and what no segment can hold", () => {
  assert.throws(() => withExif(new Uint8Array([1, 2]), {}), RangeError);
  const jpeg = new Uint8Array([0xff, 0xd8, 0xff, 0xd9]);
  assert.throws(() => withExif(jpeg, { makerNote: new Uint8Array(65_500) }), RangeError);
});

/** Text and rationals of an Exif block by directory and tag, read independently of the writer. */
function readTags(exif: Uint8Array): Map<string, string> {
  const start = new TextDecoder().decode(exif.subarray(0, 4)) === "Exif" ? 6 : 0;
  const tiff = exif.subarray(start);
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  assert.equal(view.getUint16(0, true), 0x4949);
  const tags = new Map<string, string>();
  const directories: [string, number][] = [["ifd0", view.getUint32(4, true)]];
  for (const [name, at] of directories) {
    let previous = -1;
    for (let entry = 0; entry < view.getUint16(at, true); entry++) {
      const field = at + 2 + entry * 12;
      const tag = view.getUint16(field, true);
      assert(tag > previous, "tags must ascend");
      previous = tag;
      const type = view.getUint16(field + 2, true);
      const count = view.getUint32(field + 4, true);
      const pointer = view.getUint32(field + 8, true);
      const key = `${name}/${tag.toString(16)}`;
      if (tag === 0x8769 || tag === 0x8825) directories.push([tag.toString(16), pointer]);
      else if (type === 2) {
        const from = count > 4 ? pointer : field + 8;
        tags.set(key, new TextDecoder().decode(tiff.subarray(from, from + count - 1)));
      } else if (type === 5) {
        const numbers = Array.from(
          { length: count },
          (_, index) =>
            view.getUint32(pointer + index * 8, true) /
            view.getUint32(pointer + index * 8 + 4, true),
        );
        tags.set(key, numbers.join(" "));
      }
    }
  }
  return tags;
}
