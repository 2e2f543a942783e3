import { Frame, GIF } from "imagescript";
import type { RejectionReason } from "../../domain/media.ts";
import { withExif } from "./exif.ts";
import { drawPhoto } from "./photo.ts";
import { encodePng } from "./png.ts";

/** A file that is broken, dangerous or merely odd, and what must come of uploading it. */
export interface BadFile {
  readonly name: string;
  /** What the client declares, true or not. */
  readonly contentType: string;
  /** Made anew at every call, always the same. */
  readonly bytes: () => Promise<Uint8Array<ArrayBuffer>>;
  readonly outcome: Outcome;
}

export type Outcome =
  /** `POST /v1/media` refuses to sign for it. */
  | { readonly status: "unsigned" }
  | { readonly status: "rejected"; readonly reason: RejectionReason }
  /** Pixels, upright. */
  | { readonly status: "ready"; readonly width: number; readonly height: number };

const unsigned: Outcome = { status: "unsigned" };
const rejected = (reason: RejectionReason): Outcome => ({ status: "rejected", reason });
const ready = (width: number, height: number): Outcome => ({ status: "ready", width, height });

const photo = async () =>
  (await drawPhoto({ seed: 11, size: { width: 320, height: 240 }, orientation: 1 })).bytes;

export const badFiles: readonly BadFile[] = [
  {
    name: "an empty file",
    contentType: "image/jpeg",
    bytes: () => Promise.resolve(new Uint8Array()),
    outcome: unsigned,
  },
  {
    name: "an SVG that says so",
    contentType: "image/svg+xml",
    bytes: svg,
    outcome: unsigned,
  },
  {
    name: "a PDF that says so",
    contentType: "application/pdf",
    bytes: pdf,
    outcome: unsigned,
  },
  {
    name: "text named a JPEG",
    contentType: "image/jpeg",
    bytes: () => text("This is a photograph, believe me.\n"),
    outcome: rejected("not-an-image"),
  },
  {
    name: "a PDF named a JPEG",
    contentType: "image/jpeg",
    bytes: pdf,
    outcome: rejected("not-an-image"),
  },
  {
    name: "an SVG named a PNG",
    contentType: "image/png",
    bytes: svg,
    outcome: rejected("unsupported-format"),
  },
  {
    name: "a TIFF named a JPEG",
    contentType: "image/jpeg",
    bytes: tiff,
    outcome: rejected("unsupported-format"),
  },
  {
    name: "a page of script behind a JPEG's first bytes",
    contentType: "image/jpeg",
    bytes: () => text("\xff\xd8\xff\xe0/*<script>alert(document.domain)</script>*/"),
    outcome: rejected("truncated"),
  },
  {
    name: "a JPEG with a page of script in its comment",
    contentType: "image/jpeg",
    bytes: async () => withComment(await photo(), "*/=alert(1);/*<script>alert(1)</script>"),
    outcome: ready(320, 240),
  },
  {
    name: "a truncated JPEG",
    contentType: "image/jpeg",
    bytes: async () => {
      const whole = await photo();
      return whole.slice(0, Math.floor(whole.length * 0.6));
    },
    outcome: rejected("truncated"),
  },
  {
    name: "a PNG whose compressed pixels are damaged",
    contentType: "image/png",
    // The first byte of the zlib stream: no method known.
    bytes: () => damagedPng(41),
    outcome: rejected("corrupt"),
  },
  {
    name: "a PNG with a wrong checksum",
    contentType: "image/png",
    // The last byte of IDAT's CRC, before the twelve bytes of IEND: every pixel is there.
    bytes: () => damagedPng(-13),
    outcome: ready(64, 64),
  },
  {
    name: "a PNG of 400 megapixels in 50 KB",
    contentType: "image/png",
    bytes: () => encodePng({ width: 20_000, height: 20_000, depth: 1, colour: "grey" }, () => {}),
    outcome: rejected("too-many-pixels"),
  },
  {
    name: "a CMYK JPEG",
    contentType: "image/jpeg",
    bytes: () => Promise.resolve(Uint8Array.fromBase64(cmykJpeg)),
    outcome: ready(16, 12),
  },
  {
    name: "an animated GIF",
    contentType: "image/gif",
    bytes: animatedGif,
    outcome: ready(48, 32),
  },
  {
    name: "a 16-bit PNG with transparency",
    contentType: "image/png",
    bytes: () => encodePng({ width: 64, height: 48, depth: 16, colour: "rgba" }, shade),
    outcome: ready(64, 48),
  },
  {
    name: "a JPEG named a PNG",
    contentType: "image/png",
    bytes: photo,
    outcome: ready(320, 240),
  },
  {
    name: "a JPEG held sideways with a segment full of Exif",
    contentType: "image/jpeg",
    bytes: async () => {
      const size = { width: 320, height: 240 };
      const { bytes } = await drawPhoto({ seed: 12, size, orientation: 6 });
      const exif = { orientation: 6, makerNote: new Uint8Array(65_000).fill(0x4d) } as const;
      return new Uint8Array(withExif(withoutExif(bytes), exif));
    },
    outcome: ready(320, 240),
  },
  {
    name: "a picture of one pixel",
    contentType: "image/png",
    bytes: () => encodePng({ width: 1, height: 1, depth: 8, colour: "rgb" }, shade),
    outcome: ready(1, 1),
  },
];

/** One byte for each character, so that a string can hold any bytes. */
function text(characters: string): Promise<Uint8Array<ArrayBuffer>> {
  return Promise.resolve(Uint8Array.from(characters, (character) => character.charCodeAt(0)));
}

function svg(): Promise<Uint8Array<ArrayBuffer>> {
  return text(
    `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><script>alert(1)</script></svg>`,
  );
}

function pdf(): Promise<Uint8Array<ArrayBuffer>> {
  return text(
    "%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n" +
      "2 0 obj <</Type /Pages /Kids [] /Count 0>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n",
  );
}

/** A baseline TIFF 6.0 of 4 × 4 grey pixels. */
function tiff(): Promise<Uint8Array<ArrayBuffer>> {
  const entries = [[256, 4], [257, 4], [258, 8], [259, 1], [262, 1], [273, 8], [278, 4], [279, 16]];
  const directory = 8 + 16;
  const bytes = new Uint8Array(directory + 2 + entries.length * 12 + 4);
  bytes.set([0x49, 0x49, 42, 0, directory]);
  bytes.fill(0x80, 8, directory);
  const view = new DataView(bytes.buffer, directory);
  view.setUint16(0, entries.length, true);
  entries.forEach(([tag = 0, value = 0], index) => {
    view.setUint16(2 + index * 12, tag, true);
    view.setUint16(4 + index * 12, 4, true);
    view.setUint32(6 + index * 12, 1, true);
    view.setUint32(10 + index * 12, value, true);
  });
  return Promise.resolve(bytes);
}

/** Two frames of different colours. */
async function animatedGif(): Promise<Uint8Array<ArrayBuffer>> {
  const frames = [0xc05a28ff, 0x2858c0ff].map((colour) => {
    const frame = new Frame(48, 32, 200);
    frame.fill(colour);
    return frame;
  });
  return new Uint8Array(await new GIF(frames).encode());
}

async function damagedPng(at: number): Promise<Uint8Array<ArrayBuffer>> {
  const png = await encodePng({ width: 64, height: 64, depth: 8, colour: "rgb" }, shade);
  return png.with(at, (png.at(at) ?? 0) ^ 0xff);
}

/** Smooth, and different in every row. */
function shade(y: number, samples: Uint8Array): void {
  for (let at = 0; at < samples.length; at++) samples[at] = (at + y * 3) & 0xff;
}

/** A COM segment right after the start. */
function withComment(jpeg: Uint8Array, comment: string): Uint8Array<ArrayBuffer> {
  const encoded = new TextEncoder().encode(comment);
  const segment = new Uint8Array(4 + encoded.length);
  segment.set([0xff, 0xfe, 0, 2 + encoded.length]);
  segment.set(encoded, 4);
  const result = new Uint8Array(jpeg.length + segment.length);
  result.set(jpeg.subarray(0, 2));
  result.set(segment, 2);
  result.set(jpeg.subarray(2), 2 + segment.length);
  return result;
}

/** Takes away the APP1 segment that `withExif` put right after the start. */
function withoutExif(jpeg: Uint8Array): Uint8Array {
  const length = ((jpeg[4] ?? 0) << 8) + (jpeg[5] ?? 0);
  const result = new Uint8Array(jpeg.length - 2 - length);
  result.set(jpeg.subarray(0, 2));
  result.set(jpeg.subarray(4 + length), 2);
  return result;
}

/** 16 × 12 pixels of four inks, as an image editor saves for print. */
const cmykJpeg = "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0s" +
  "MzpKPjM2RjcsLUBXQUZMTlJTUjI+WmFaUGBKUVJP/8AAFAgADAAQBEMRAE0RAFkRAEsRAP/EABcAAQEBAQAAAAAAAAAAAAAA" +
  "AAAHBQb/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/9oADgRDAE0AWQBLAAA/AKcxEzdWAAAA/9k=";
