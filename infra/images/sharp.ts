import sharp, { type OutputInfo, type Sharp } from "sharp";
import { rgbaToThumbHash } from "thumbhash";
import { maximumPixels } from "../../domain/media.ts";
import {
  type EncodedImage,
  type ImageProcessor,
  type ProcessedImage,
  Unprocessable,
} from "./port.ts";
import { rejection, tooManyPixels } from "./complaint.ts";
import { cutsOf, type Encoding, encodingOf, recipe as current, type Size } from "./recipe.ts";
import { type Format, sniff } from "./sniff.ts";

/**
 * Makes variants with libvips (https://sharp.pixelplumbing.com). How each is cut, which format they
 * have and why is in `README.md`.
 *
 * libvips is told once, for the whole process, to load nothing but the formats `sniff` knows: what
 * calls itself a JPEG can reach no other parser. Nothing is cached between images, and each is
 * worked by one thread, since images are worked side by side.
 */
export function createSharpProcessor(): ImageProcessor {
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ["VipsForeignLoad"] });
  sharp.unblock({ operation: loaders });
  return { recipe: current, process };
}

const loaders = ["Jpeg", "Png", "Webp", "Heif", "Nsgif"].map((name) => `VipsForeignLoad${name}`);

/** Whether this libvips has an HEVC decoder; the one that comes with sharp does not. */
const decodesHeic = sharp.format.heif.input.fileSuffix?.includes(".heic") ?? false;

type Raster = { readonly data: Uint8Array; readonly info: OutputInfo };

async function process(original: Uint8Array, recipe = current): Promise<ProcessedImage> {
  const encoding = encodingOf(recipe);
  const format = sniff(original);
  if (format === "heic" && !decodesHeic) {
    throw new Unprocessable("unsupported-format", "HEIC images cannot be used; try a JPEG.");
  }
  const { upright, wide } = await readHeader(original, format);
  const { large, medium, square, raster: size } = cutsOf(upright);

  const raster = await decode(original, format, size, wide);
  const [largeImage, mediumImage, thumbnailImage, placeholder] = await Promise.all([
    encode(resize(raster, large), encoding),
    encode(resize(raster, medium), encoding),
    encode(pixels(raster).resize(square, square, { fit: "cover", position: "centre" }), encoding),
    thumbhash(raster),
  ]);
  return {
    ...upright,
    placeholder,
    variants: { thumbnail: thumbnailImage, medium: mediumImage, large: largeImage },
  };
}

interface Header {
  readonly upright: Size;
  /** Whether sharp will work in Display P3: it does for 16-bit RGB with a profile of its own. */
  readonly wide: boolean;
}

/** Nothing has been decoded yet when this refuses. */
async function readHeader(original: Uint8Array, format: Format): Promise<Header> {
  const { autoOrient: { width, height }, space, hasProfile } = await blaming(
    original,
    format,
    () => sharp(original, { failOn: "truncated", limitInputPixels: false }).metadata(),
  );
  if (width * height > maximumPixels) throw tooManyPixels(`${width} × ${height}`);
  return { upright: { width, height }, wide: space === "rgb16" && hasProfile };
}

/**
 * Decodes to 8-bit sRGB at the given size: upright, by the embedded profile, without metadata.
 * JPEG and WebP are shrunk while they are decoded.
 */
function decode(
  original: Uint8Array,
  format: Format,
  size: Size,
  wide: boolean,
): Promise<Raster> {
  const image = sharp(original, { failOn: "truncated", limitInputPixels: maximumPixels })
    .autoOrient()
    .resize({ ...size, fit: "fill" })
    .toColourspace("srgb")
    .raw();
  if (wide) image.withIccProfile("srgb");
  return blaming(original, format, () => image.toBuffer({ resolveWithObject: true }));
}

function pixels({ data, info: { width, height, channels } }: Raster): Sharp {
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: maximumPixels });
}

function resize(raster: Raster, size: Size): Sharp {
  return pixels(raster).resize({ ...size, fit: "fill" });
}

/**
 * What leaves here is memory of JavaScript's own. sharp's output lies in memory of libvips' that a
 * finalizer frees, which is right only as long as every view of it keeps that finalizer waiting; a copy
 * costs microseconds, and relies on it no longer than this turn.
 */
async function encode(image: Sharp, encoding: Encoding): Promise<EncodedImage> {
  const { data, info } = await image
    .webp(encoding)
    .toBuffer({ resolveWithObject: true });
  return {
    bytes: new Uint8Array(data),
    width: info.width,
    height: info.height,
    contentType: "image/webp",
    extension: "webp",
  };
}

/** At most 100 pixels a side, by thumbhash's own limit. */
async function thumbhash(raster: Raster): Promise<string> {
  const { data, info } = await pixels(raster)
    .resize(100, 100, { fit: "inside", withoutEnlargement: true })
    .toColourspace("srgb")
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return rgbaToThumbHash(info.width, info.height, data).toBase64();
}

/** What sharp says when libvips has no complaint to show. */
const lost = "Unknown error";
/** Times that a step is run until its complaint is heard. */
const hearings = 10;

/**
 * Runs a step that reads the original; a decoder's complaint about it becomes a rejection. libvips
 * collects complaints in one buffer for all its threads, which another's failure may empty before
 * this one's is read: then the step is run again, until it says why it fails.
 */
async function blaming<T>(
  original: Uint8Array,
  format: Format,
  step: () => Promise<T>,
): Promise<T> {
  for (let heard = 1;; heard++) {
    try {
      return await step();
    } catch (error) {
      const unheard = error instanceof Error && error.message === lost;
      if (!unheard || heard === hearings) throw rejection(error, format, original) ?? error;
    }
  }
}
