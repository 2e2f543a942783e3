import assert from "node:assert/strict";
import { crc32, deflateSync } from "node:zlib";
import sharp, { type Sharp } from "sharp";
import { thumbHashToAverageRGBA } from "thumbhash";
import { type VariantName, variantNames } from "../../domain/media.ts";
import { adobeRgb } from "./contract_profile.ts";
import {
  type EncodedImage,
  type ImageProcessor,
  type ProcessedImage,
  Unprocessable,
} from "./port.ts";

type Colour = readonly [red: number, green: number, blue: number];

const red: Colour = [220, 40, 40];
const green: Colour = [40, 180, 60];
const blue: Colour = [50, 60, 210];
const yellow: Colour = [230, 210, 50];

/** What holds for every image processor; all inputs are drawn here. */
export function imageProcessorContract(
  name: string,
  open: () => ImageProcessor & AsyncDisposable,
): void {
  const test = (claim: string, run: (processor: ImageProcessor) => Promise<void>) =>
    Deno.test(`${name}: ${claim}`, async () => {
      await using processor = open();
      await run(processor);
    });

  test("a photograph becomes three variants that are what they say", async (processor) => {
    const image = await processor.process(await quadrants(1500, 1000).jpeg().toBuffer());
    assert.deepEqual([image.width, image.height], [1500, 1000]);
    assert.deepEqual(sizes(image), { thumbnail: "150x150", medium: "600x400", large: "1080x720" });
    for (const variant of Object.values(image.variants)) {
      const { format, width, height } = await sharp(variant.bytes).metadata();
      assert.deepEqual([width, height], [variant.width, variant.height]);
      assert.equal(variant.contentType, `image/${format}`);
      assert.equal(variant.extension, format);
    }
    await assertQuadrants(image, [red, green, blue, yellow]);
  });

  for (let orientation = 1; orientation <= 8; orientation++) {
    test(`a JPEG with EXIF orientation ${orientation} is stood upright`, async (processor) => {
      const stored = await storedAs(orientation, 1400, 1000).jpeg().toBuffer();
      const image = await processor.process(stored);
      assert.deepEqual([image.width, image.height], [1400, 1000]);
      assert.deepEqual(sizes(image), {
        thumbnail: "150x150",
        medium: "600x429",
        large: "1080x771",
      });
      await assertQuadrants(image, [red, green, blue, yellow]);
    });
  }

  for (const format of ["png", "webp"] as const) {
    test(`a ${format} with EXIF orientation 6 is stood upright`, async (processor) => {
      const image = await processor.process(
        await storedAs(6, 300, 200).toFormat(format).toBuffer(),
      );
      assert.deepEqual([image.width, image.height], [300, 200]);
      await assertQuadrants(image, [red, green, blue, yellow]);
    });
  }

  for (const format of ["jpeg", "png", "webp", "avif", "gif"] as const) {
    test(`${format} is taken`, async (processor) => {
      const image = await processor.process(
        await encodedAs(format, quadrants(320, 200)),
      );
      assert.deepEqual(sizes(image), {
        thumbnail: "150x150",
        medium: "320x200",
        large: "320x200",
      });
      await assertQuadrants(image, [red, green, blue, yellow]);
    });
  }

  test("a progressive JPEG, a grey one and an interlaced PNG are taken", async (processor) => {
    for (
      const file of [
        await quadrants(320, 200).jpeg({ progressive: true }).toBuffer(),
        await quadrants(320, 200).png({ progressive: true }).toBuffer(),
      ]
    ) await assertQuadrants(await processor.process(file), [red, green, blue, yellow]);
    const grey = await sharp(new Uint8Array(64 * 64).fill(99), {
      raw: { width: 64, height: 64, channels: 1 },
    }).toColourspace("b-w").jpeg().toBuffer();
    const image = await processor.process(grey);
    for (const name of variantNames) {
      assertNear(await middle(image.variants[name]), [99, 99, 99], 3);
    }
  });

  test("the first frame of an animated GIF is taken", async (processor) => {
    const frames = new Uint8Array(60 * 120 * 3);
    frames.fill(255, 60 * 60 * 3);
    const animated = await sharp(frames, {
      raw: { width: 60, height: 120, channels: 3, pageHeight: 60 },
    }).gif({ delay: [100, 100] }).toBuffer();
    assert.equal((await sharp(animated).metadata()).pages, 2, "drawn wrong");
    const image = await processor.process(animated);
    assert.deepEqual([image.width, image.height], [60, 60]);
    assertNear(await middle(image.variants.large), [0, 0, 0], 3);
  });

  test("HEIC is refused where it cannot be decoded", async (processor) => {
    if (sharp.format.heif.input.fileSuffix?.includes(".heic")) return;
    const heic = latin1("\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat");
    await assertUnprocessable(processor, heic, "unsupported-format");
  });

  const colour: Colour = [200, 100, 60];
  for (const [gamut, profile] of [["Display P3", "p3"], ["Adobe RGB", adobeRgb]] as const) {
    for (const depth of [8, 16] as const) {
      test(`${gamut} at ${depth} bits is converted by its profile`, async (processor) => {
        await using file = await profileFile(profile);
        const drawn = depth === 8
          ? await flat(colour).withIccProfile(file.path).png().toBuffer()
          : await flat(colour).toColourspace("rgb16").withIccProfile(file.path).png().toBuffer();
        const stored = await sharp(drawn, { ignoreIcc: true }).raw().toBuffer();
        assert(Math.abs((stored[0] ?? 0) - colour[0]) > 5, "drawn wrong: the profile is idle");
        const { variants } = await processor.process(drawn);
        for (const name of variantNames) assertNear(await middle(variants[name]), colour, 4);
      });
    }
  }

  for (const embedded of [true, false]) {
    const kind = embedded ? "with" : "without";
    test(`a CMYK JPEG ${kind} a profile has the right colours`, async (processor) => {
      const cmyk = flat([180, 120, 90]).toColourspace("cmyk");
      if (embedded) cmyk.withIccProfile("cmyk");
      const drawn = await cmyk.jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
      const { space, hasProfile } = await sharp(drawn).metadata();
      assert.deepEqual([space, hasProfile], ["cmyk", embedded], "drawn wrong");
      const { variants } = await processor.process(drawn);
      for (const name of variantNames) assertNear(await middle(variants[name]), [180, 120, 90], 16);
    });
  }

  test("a profile that is none does not spoil the colours", async (processor) => {
    const plain = await flat(colour).png().toBuffer();
    const icc = segment("\xff\xe2", "ICC_PROFILE\0\x01\x01not a profile at all");
    const jpeg = await flat(colour).jpeg().toBuffer();
    const spoilt = joined(jpeg.subarray(0, 2), icc, jpeg.subarray(2));
    const expected = await middle((await processor.process(plain)).variants.large);
    assertNear(await middle((await processor.process(spoilt)).variants.large), expected, 4);
  });

  test("a 16-bit PNG keeps its colours and its transparency", async (processor) => {
    const pixels = new Uint16Array(200 * 200 * 4);
    for (let at = 0; at < pixels.length; at += 4) {
      pixels.set([0xc800, 0x6400, 0x3200, at < pixels.length / 2 ? 0xffff : 0x4000], at);
    }
    const png = await sharp(pixels, { raw: { width: 200, height: 200, channels: 4 } })
      .toColourspace("rgb16").png().toBuffer();
    assert.equal((await sharp(png).metadata()).depth, "ushort", "drawn wrong");
    const { variants } = await processor.process(png);
    for (const variant of Object.values(variants)) {
      const { at } = await pixelsOf(variant);
      const [top, bottom] = [at(0.5, 0.25), at(0.5, 0.75)];
      assertNear(top, [200, 100, 50], 6);
      assertNear(bottom, [200, 100, 50], 10);
      assert.equal(top[3], 255);
      assert(Math.abs((bottom[3] ?? 255) - 64) <= 3);
    }
  });

  test("transparent pixels do not bleed into what is seen", async (processor) => {
    const pixels = new Uint8Array(1200 * 1200 * 4);
    for (let at = 0; at < pixels.length; at += 4) {
      pixels.set((at / 4) % 4 < 2 ? [250, 250, 250, 255] : [0, 0, 0, 0], at);
    }
    const png = await sharp(pixels, { raw: { width: 1200, height: 1200, channels: 4 } })
      .png().toBuffer();
    const { variants } = await processor.process(png);
    const { at } = await pixelsOf(variants.thumbnail);
    assertNear(at(0.5, 0.5), [250, 250, 250], 8);
  });

  test("no metadata leaves: EXIF, GPS, XMP, IPTC, profile, text", async (processor) => {
    const secret = "51.4778N 0.0015W";
    const withAll = await quadrants(320, 200)
      .withExif({ IFD0: { ImageDescription: secret }, IFD3: { GPSLatitude: "51/1 28/1 40/1" } })
      .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>${secret}</a></x:xmpmeta>`)
      .withIccProfile("p3")
      .jpeg().toBuffer();
    const iptc = segment("\xff\xed", `Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x16${secret}`);
    const comment = segment("\xff\xfe", secret);
    const jpeg = joined(withAll.subarray(0, 2), iptc, comment, withAll.subarray(2));
    for (const mark of ["Exif", "xmpmeta", "ICC_PROFILE", "8BIM", secret]) {
      assert(text(jpeg).includes(mark), `drawn wrong: no ${mark}`);
    }
    const png = await sharp(jpeg).keepMetadata().png().toBuffer();
    const webp = await sharp(jpeg).keepMetadata().webp().toBuffer();
    for (const original of [jpeg, png, webp]) {
      const { variants } = await processor.process(original);
      for (const { bytes } of Object.values(variants)) {
        for (const mark of ["exif", "xmp", "icc", "photoshop", "8bim", "gps", secret]) {
          assert(!text(bytes).toLowerCase().includes(mark.toLowerCase()), mark);
        }
        for (const chunk of chunksOf(bytes)) {
          assert(["VP8 ", "VP8L", "VP8X", "ALPH"].includes(chunk), `chunk ${chunk}`);
        }
      }
    }
  });

  const shapes: readonly [number, number, Record<VariantName, string>][] = [
    [1, 1, { thumbnail: "1x1", medium: "1x1", large: "1x1" }],
    [120, 90, { thumbnail: "90x90", medium: "120x90", large: "120x90" }],
    [1, 5000, { thumbnail: "1x1", medium: "1x1200", large: "1x2160" }],
    [5000, 1, { thumbnail: "1x1", medium: "600x1", large: "1080x1" }],
    [500, 8000, { thumbnail: "150x150", medium: "75x1200", large: "135x2160" }],
    [8000, 300, { thumbnail: "150x150", medium: "600x23", large: "1080x41" }],
    [1080, 2160, { thumbnail: "150x150", medium: "600x1200", large: "1080x2160" }],
  ];
  for (const [width, height, expected] of shapes) {
    test(`${width} × ${height} is fitted, not cropped nor enlarged`, async (processor) => {
      const image = await processor.process(await quadrants(width, height).png().toBuffer());
      assert.deepEqual([image.width, image.height], [width, height]);
      assert.deepEqual(sizes(image), expected);
      if (Math.min(width, height) < 100) return;
      const { thumbnail: _, ...whole } = image.variants;
      for (const variant of Object.values(whole)) {
        await assertCorners(variant, [red, green, blue, yellow]);
      }
    });
  }

  test("the thumbnail is the middle, at the image's own shape", async (processor) => {
    const file = await bands(900, 300, [red, green, blue]).png().toBuffer();
    const { variants } = await processor.process(file);
    const { at } = await pixelsOf(variants.thumbnail);
    for (const x of [0.05, 0.5, 0.95]) assertNear(at(x, 0.5), green, 12);
    assertNear((await pixelsOf(variants.medium)).at(0.05, 0.5), red, 12);
  });

  test("the placeholder is a thumbhash of the image", async (processor) => {
    const { placeholder } = await processor.process(await flat([200, 100, 60]).png().toBuffer());
    const { r, g, b } = thumbHashToAverageRGBA(Uint8Array.fromBase64(placeholder));
    assertNear([r * 255, g * 255, b * 255], [200, 100, 60], 8);
    assert(placeholder.length <= 36);
  });

  test("the same bytes give the same bytes", async (processor) => {
    const original = await noise(1400, 900).jpeg().toBuffer();
    const [first, second] = await Promise.all([
      processor.process(original),
      processor.process(original),
    ]);
    assert.deepEqual(first, second);
  });

  test("another recipe makes the same picture, smaller where it takes longer over it", async (processor) => {
    const original = await noise(1400, 900).blur(4).jpeg().toBuffer();
    const first = await processor.process(original);
    const second = await processor.process(original, 2);
    assert.deepEqual(sizes(second), sizes(first));
    assert.ok(second.variants.large.bytes.length < first.variants.large.bytes.length);
    assert.deepEqual(await processor.process(original, 1), first);
    await assert.rejects(processor.process(original, 99), /recipe 99 is not known here: 1, 2 are/);
  });

  const bad: readonly [string, () => Uint8Array | Promise<Uint8Array>, string][] = [
    ["nothing", () => new Uint8Array(), "empty"],
    ["text", () => latin1("hello"), "not-an-image"],
    ["a PDF around a JPEG", () => latin1("%PDF-1.7\n\xff\xd8\xff\xe0"), "not-an-image"],
    ["an SVG", () => latin1("<svg xmlns='http://www.w3.org/2000/svg'/>"), "unsupported-format"],
    ["a TIFF", () => quadrants(50, 50).tiff().toBuffer(), "unsupported-format"],
    ["an SVG behind a PNG signature", () => latin1("\x89PNG\r\n\x1a\n<svg/>"), "truncated"],
    ["a script behind a GIF signature", () => latin1("GIF89a=1;alert(1)//;"), "corrupt"],
  ];
  for (const [what, bytes, reason] of bad) {
    test(`${what} is refused as ${reason}`, async (processor) => {
      await assertUnprocessable(processor, await bytes(), reason);
    });
  }

  for (const format of ["jpeg", "png", "webp", "avif", "gif"] as const) {
    test(`half a ${format} is refused as truncated`, async (processor) => {
      const whole = await encodedAs(format, noise(300, 200));
      await assertUnprocessable(processor, whole.subarray(0, whole.length / 2), "truncated");
    });
  }

  test("a damaged PNG is refused as corrupt", async (processor) => {
    const png = await noise(300, 200).png().toBuffer();
    png.fill(0, png.length / 2, png.length / 2 + 64);
    await assertUnprocessable(processor, png, "corrupt");
  });

  test("what hangs on behind an image is left behind", async (processor) => {
    const jpeg = await quadrants(320, 200).jpeg().toBuffer();
    const polyglot = joined(jpeg, latin1("PK\x03\x04<script>alert(1)</script>%PDF-1.7"));
    const image = await processor.process(polyglot);
    assert.deepEqual(image, await processor.process(jpeg));
  });

  const bombs: readonly [string, () => Promise<Uint8Array>][] = [
    ["png", () => Promise.resolve(bilevelPng(20_000, 20_000).subarray(0, 100))],
    ["jpeg", async () => {
      const file = await flat(red).jpeg().toBuffer();
      // The start-of-frame segment: height and width, 16 bits each, after length and precision.
      const frame = file.indexOf(latin1("\xff\xc0"));
      new DataView(file.buffer, file.byteOffset).setUint32(frame + 5, 0xf000_f000);
      return file.subarray(0, file.length - 20);
    }],
    ["webp", async () => {
      const file = await flat(red).webp().toBuffer();
      // RFC 9649 §2.5: width and height, 14 bits each, after the start code of a key frame.
      new DataView(file.buffer, file.byteOffset).setUint32(26, 0x3fff_3fff);
      return file;
    }],
    ["gif", async () => {
      const file = await flat(red).gif().toBuffer();
      // The logical screen's width and height, and the first frame's, 16 bits each.
      const frame = file.indexOf(latin1("\x2c\0\0\0\0"));
      new DataView(file.buffer, file.byteOffset).setUint32(6, 0xfff0_fff0);
      new DataView(file.buffer, file.byteOffset).setUint32(frame + 5, 0xfff0_fff0);
      return file;
    }],
    ["avif", async () => {
      const file = await flat(red).avif().toBuffer();
      // ISO/IEC 23008-12 §6.5.3: width and height, 32 bits each, after version and flags.
      const extents = file.indexOf(latin1("ispe"));
      new DataView(file.buffer, file.byteOffset).setUint32(extents + 8, 20_000);
      new DataView(file.buffer, file.byteOffset).setUint32(extents + 12, 20_000);
      return file;
    }],
  ];
  for (const [format, draw] of bombs) {
    test(`a ${format} that claims too many pixels is refused by its header`, async (processor) => {
      // None of these could be decoded: had it been tried, they would be truncated or corrupt.
      await assertUnprocessable(processor, await draw(), "too-many-pixels");
    });
  }
}

/** A PNG of black alone, at one bit a pixel: 400 megapixels in 50 KB. */
export function bilevelPng(width: number, height: number): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const body = joined(latin1(type), data);
    return joined(bigEndian(data.length), body, bigEndian(crc32(body)));
  };
  const header = joined(bigEndian(width), bigEndian(height), Uint8Array.of(1, 0, 0, 0, 0));
  const rows = deflateSync(new Uint8Array((1 + Math.ceil(width / 8)) * height));
  return joined(
    latin1("\x89PNG\r\n\x1a\n"),
    chunk("IHDR", header),
    chunk("IDAT", rows),
    chunk("IEND", new Uint8Array()),
  );
}

export async function assertUnprocessable(
  processor: ImageProcessor,
  original: Uint8Array,
  reason: string,
): Promise<void> {
  await assert.rejects(processor.process(original), (error) => {
    assert(error instanceof Unprocessable, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.detail, /^[A-Z].*\.$/);
    return true;
  });
}

/** With little effort: the files are drawn to be read. */
function encodedAs(format: "jpeg" | "png" | "webp" | "avif" | "gif", image: Sharp) {
  switch (format) {
    case "avif":
      return image.avif({ effort: 0 }).toBuffer();
    case "gif":
      return image.gif({ effort: 1 }).toBuffer();
    default:
      return image.toFormat(format).toBuffer();
  }
}

/** Red and green above, blue and yellow below. */
export function quadrants(width: number, height: number) {
  return drawn(width, height, (x, y) => upright(x / width, y / height));
}

export function noise(width: number, height: number) {
  let state = 1;
  return drawn(width, height, (x, y) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return [(x + (state >>> 25)) & 255, (y + (state >>> 26)) & 255, state >>> 24];
  });
}

function upright(x: number, y: number): Colour {
  return y < 0.5 ? (x < 0.5 ? red : green) : (x < 0.5 ? blue : yellow);
}

function flat(colour: Colour) {
  return drawn(200, 200, () => colour);
}

function bands(width: number, height: number, colours: readonly Colour[]) {
  return drawn(width, height, (x) => colours[Math.floor(x * colours.length / width)] ?? red);
}

function drawn(width: number, height: number, colour: (x: number, y: number) => Colour) {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0, at = y * width * 3; x < width; x++, at += 3) {
      [pixels[at], pixels[at + 1], pixels[at + 2]] = colour(x, y);
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 }, limitInputPixels: false });
}

/** `quadrants`, as a camera held another way stores it (Exif 2.32 §4.6.4, tag 0x0112). */
function storedAs(orientation: number, width: number, height: number) {
  const sideways = orientation >= 5;
  const [storedWidth, storedHeight] = sideways ? [height, width] : [width, height];
  // Where a stored pixel belongs upright, both from 0 to 1.
  const place = (x: number, y: number): [number, number] => {
    switch (orientation) {
      case 2:
        return [1 - x, y];
      case 3:
        return [1 - x, 1 - y];
      case 4:
        return [x, 1 - y];
      case 5:
        return [y, x];
      case 6:
        return [1 - y, x];
      case 7:
        return [1 - y, 1 - x];
      case 8:
        return [y, 1 - x];
      default:
        return [x, y];
    }
  };
  return drawn(storedWidth, storedHeight, (x, y) => {
    return upright(...place((x + 0.5) / storedWidth, (y + 0.5) / storedHeight));
  }).withMetadata({ orientation });
}

function sizes({ variants }: ProcessedImage): Record<VariantName, string> {
  const shown = ({ width, height }: EncodedImage) => `${width}x${height}`;
  return {
    thumbnail: shown(variants.thumbnail),
    medium: shown(variants.medium),
    large: shown(variants.large),
  };
}

async function assertQuadrants(image: ProcessedImage, colours: readonly Colour[]): Promise<void> {
  for (const name of variantNames) await assertCorners(image.variants[name], colours);
}

async function assertCorners(variant: EncodedImage, colours: readonly Colour[]): Promise<void> {
  const { at } = await pixelsOf(variant);
  const corners = [[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]] as const;
  for (const [index, [x, y]] of corners.entries()) {
    const expected = colours[index];
    assert(expected);
    assertNear(at(x, y), expected, 16);
  }
}

async function middle(variant: EncodedImage): Promise<readonly number[]> {
  return (await pixelsOf(variant)).at(0.5, 0.5);
}

/** `at` takes places from 0 to 1 and gives red, green, blue, alpha. */
async function pixelsOf({ bytes }: EncodedImage) {
  const { data, info: { width, height } } = await sharp(bytes).toColourspace("srgb").ensureAlpha()
    .raw().toBuffer({ resolveWithObject: true });
  const at = (x: number, y: number) => {
    const start = (Math.floor(y * height) * width + Math.floor(x * width)) * 4;
    return [...data.subarray(start, start + 4)];
  };
  return { at };
}

function assertNear(found: readonly number[], expected: readonly number[], distance: number) {
  const near = [0, 1, 2].every((band) =>
    Math.abs((found[band] ?? -1) - (expected[band] ?? -1)) <= distance
  );
  assert(near, `found ${found}, expected ${expected} within ${distance}`);
}

async function profileFile(
  profile: "p3" | Uint8Array,
): Promise<AsyncDisposable & { path: string }> {
  if (profile === "p3") return { path: profile, [Symbol.asyncDispose]: () => Promise.resolve() };
  const path = await Deno.makeTempFile({ suffix: ".icc" });
  await Deno.writeFile(path, profile);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

/** A JPEG segment: marker, length, content. */
function segment(marker: string, content: string): Uint8Array {
  const length = content.length + 2;
  return latin1(marker + String.fromCharCode(length >> 8, length & 255) + content);
}

/** The four-character codes of a RIFF file's chunks. */
function chunksOf(riff: Uint8Array): string[] {
  const view = new DataView(riff.buffer, riff.byteOffset, riff.byteLength);
  const codes: string[] = [];
  for (let at = 12; at + 8 <= riff.length;) {
    codes.push(text(riff.subarray(at, at + 4)));
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length & 1);
  }
  return codes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function bigEndian(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function latin1(content: string): Uint8Array {
  return Uint8Array.from(content, (character) => character.charCodeAt(0));
}

function text(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
