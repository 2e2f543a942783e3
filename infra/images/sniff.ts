import { Unprocessable } from "./port.ts";

export const formats = ["jpeg", "png", "webp", "avif", "heic", "gif"] as const;
export type Format = typeof formats[number];

/**
 * Tells an image's format from its first bytes, and from nothing else: neither a file name nor a
 * declared type has a say.
 * @throws {Unprocessable} "empty"; "unsupported-format" for an image of another kind; else
 * "not-an-image".
 */
export function sniff(bytes: Uint8Array): Format {
  if (bytes.length === 0) throw new Unprocessable("empty", "The file is empty.");
  const head = latin1(bytes.subarray(0, 64));
  if (head.startsWith("\xff\xd8\xff")) return "jpeg";
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (head.startsWith("GIF87a") || head.startsWith("GIF89a")) return "gif";
  if (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP") return "webp";
  if (head.slice(4, 8) === "ftyp") {
    const brands = brandsOf(bytes);
    if (brands.some((brand) => brand === "avif" || brand === "avis")) return "avif";
    if (brands.some((brand) => heicBrands.has(brand))) return "heic";
  }
  const other =
    otherImages.find(({ openings }) => openings.some((it) => head.startsWith(it)))?.name ??
      (looksLikeSvg(bytes) ? "SVG" : undefined);
  throw other
    ? new Unprocessable("unsupported-format", `${other} images cannot be used; try a JPEG.`)
    : new Unprocessable("not-an-image", "The file is not an image.");
}

/**
 * Whether a file ends before its own structure says it does. Only asked of files that failed to
 * decode, to tell a broken-off upload from damage.
 */
export function endsEarly(format: Format, bytes: Uint8Array): boolean {
  switch (format) {
    case "jpeg":
      return !jpegHasEnd(bytes);
    case "png":
      return !pngHasEnd(bytes);
    case "webp":
      return bytes.length < 12 || view(bytes).getUint32(4, true) + 8 > bytes.length;
    case "avif":
    case "heic":
      return !boxesFit(bytes);
    case "gif":
      return bytes[bytes.length - 1] !== 0x3b;
  }
}

const heicBrands = new Set(["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"]);

const otherImages: readonly { readonly name: string; readonly openings: readonly string[] }[] = [
  { name: "TIFF", openings: ["II*\0", "MM\0*", "II+\0", "MM\0+"] },
  { name: "JPEG XL", openings: ["\xff\x0a", "\0\0\0\x0cJXL \r\n\x87\n"] },
  { name: "JPEG 2000", openings: ["\xff\x4f\xff\x51", "\0\0\0\x0cjP  \r\n\x87\n"] },
  { name: "Photoshop", openings: ["8BPS"] },
  { name: "ICO", openings: ["\0\0\x01\0"] },
];

function looksLikeSvg(bytes: Uint8Array): boolean {
  const text = latin1(bytes.subarray(0, 1024)).replaceAll("\0", "");
  return /^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<(\?xml|!DOCTYPE|!--|svg)/i.test(text) &&
    /<svg[\s>/]/i.test(text);
}

/** ISO/IEC 14496-12 §4.3: the major brand and the compatible ones. */
function brandsOf(bytes: Uint8Array): string[] {
  const size = Math.min(view(bytes).getUint32(0), bytes.length, 256);
  const brands = [latin1(bytes.subarray(8, 12))];
  for (let at = 16; at + 4 <= size; at += 4) brands.push(latin1(bytes.subarray(at, at + 4)));
  return brands;
}

/** Walks the segments to the first scan; an end marker must follow it (ITU-T T.81 §B.1.1). */
function jpegHasEnd(bytes: Uint8Array): boolean {
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda) {
    at += 2 + view(bytes).getUint16(at + 2);
  }
  for (let end = bytes.indexOf(0xff, at); end !== -1; end = bytes.indexOf(0xff, end + 1)) {
    if (bytes[end + 1] === 0xd9) return true;
  }
  return false;
}

function pngHasEnd(bytes: Uint8Array): boolean {
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view(bytes).getUint32(at)) {
    if (latin1(bytes.subarray(at + 4, at + 8)) === "IEND") return true;
  }
  return false;
}

/** Whether every top-level box ends within the file; a size of 0 reaches to its end. */
function boxesFit(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    if (at + 8 > bytes.length) return false;
    const size = view(bytes).getUint32(at);
    if (size === 0) return true;
    if (size === 1) {
      if (at + 16 > bytes.length) return false;
      at += Number(view(bytes).getBigUint64(at + 8));
    } else at += Math.max(8, size);
  }
  return at === bytes.length;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One character for each byte, whatever it is: `TextDecoder`'s "latin1" is windows-1252. */
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
