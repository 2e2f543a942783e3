/**
 * What a camera writes about a photograph (CIPA DC-008, Exif 3.0). Only what is given is written.
 */
export interface Exif {
  /** How the stored pixels are to be turned to stand upright: the Orientation tag, 1 to 8. */
  readonly orientation?: Orientation;
  readonly make?: string;
  readonly model?: string;
  /** Written as local time in UTC, to the second. */
  readonly takenAt?: Date;
  /** Degrees, north and east positive. */
  readonly position?: { readonly latitude: number; readonly longitude: number };
  /** Opaque bytes that a maker adds; they make a segment as large as one can be. */
  readonly makerNote?: Uint8Array;
}

export const orientations = [1, 2, 3, 4, 5, 6, 7, 8] as const;
export type Orientation = typeof orientations[number];

/** Bytes of one JPEG segment, its two of length included. */
const maximumSegmentBytes = 0xffff;

/**
 * Puts an Exif APP1 segment right after the start of a JPEG, where Exif wants it. The pixels are
 * left as they are: see `storeOriented`.
 * @throws {RangeError} when the bytes are no JPEG, or the segment would be over 64 KiB.
 */
export function withExif(jpeg: Uint8Array, exif: Exif): Uint8Array {
  if (jpeg[0] !== 0xff || jpeg[1] !== 0xd8) throw new RangeError("not a JPEG");
  const tiff = encodeTiff(exif);
  const length = 2 + 6 + tiff.length;
  if (length > maximumSegmentBytes) throw new RangeError(`${length} bytes do not fit in a segment`);
  const result = new Uint8Array(jpeg.length + 2 + length);
  result.set(jpeg.subarray(0, 2));
  result.set([0xff, 0xe1, length >> 8, length & 0xff], 2);
  result.set(new TextEncoder().encode("Exif\0\0"), 6);
  result.set(tiff, 12);
  result.set(jpeg.subarray(2), 12 + tiff.length);
  return result;
}

/** TIFF 6.0 field types. */
const types = { byte: 1, ascii: 2, short: 3, long: 4, rational: 5, undefined: 7 } as const;

interface Field {
  readonly tag: number;
  readonly type: keyof typeof types;
  readonly count: number;
  readonly value: Uint8Array;
}

/** A little-endian TIFF of up to three directories: the image's, Exif's and GPS's. */
function encodeTiff(exif: Exif): Uint8Array {
  const image: Field[] = [];
  if (exif.make !== undefined) image.push(ascii(0x010f, exif.make));
  if (exif.model !== undefined) image.push(ascii(0x0110, exif.model));
  if (exif.orientation !== undefined) image.push(short(0x0112, exif.orientation));
  if (exif.takenAt) image.push(ascii(0x0132, exifTime(exif.takenAt)));

  const camera: Field[] = [undefinedBytes(0x9000, new TextEncoder().encode("0232"))];
  if (exif.takenAt) {
    camera.push(ascii(0x9003, exifTime(exif.takenAt)), ascii(0x9011, "+00:00"));
  }
  if (exif.makerNote) camera.push(undefinedBytes(0x927c, exif.makerNote));

  const gps: Field[] = [];
  if (exif.position) {
    const { latitude, longitude } = exif.position;
    gps.push(
      { tag: 0, type: "byte", count: 4, value: new Uint8Array([2, 3, 0, 0]) },
      ascii(1, latitude < 0 ? "S" : "N"),
      degrees(2, latitude),
      ascii(3, longitude < 0 ? "W" : "E"),
      degrees(4, longitude),
    );
  }

  const pointers = gps.length > 0 ? 2 : 1;
  const cameraAt = 8 + directoryBytes(image, pointers);
  const gpsAt = cameraAt + directoryBytes(camera, 0);
  image.push(long(0x8769, cameraAt));
  if (gps.length > 0) image.push(long(0x8825, gpsAt));

  const header = new Uint8Array([0x49, 0x49, 42, 0, 8, 0, 0, 0]);
  const parts = [header, encodeDirectory(image, 8), encodeDirectory(camera, cameraAt)];
  if (gps.length > 0) parts.push(encodeDirectory(gps, gpsAt));
  return concat(parts);
}

function directoryBytes(fields: readonly Field[], pointers: number): number {
  const outside = fields.reduce((sum, { value }) => sum + (value.length > 4 ? even(value) : 0), 0);
  return 2 + (fields.length + pointers) * 12 + 4 + outside;
}

/** Entries in order of tag; a value over four bytes lies behind them, on an even offset. */
function encodeDirectory(fields: readonly Field[], at: number): Uint8Array {
  const bytes = new Uint8Array(directoryBytes(fields, 0));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.length, true);
  let entry = 2;
  let outside = 2 + fields.length * 12 + 4;
  for (const field of fields) {
    view.setUint16(entry, field.tag, true);
    view.setUint16(entry + 2, types[field.type], true);
    view.setUint32(entry + 4, field.count, true);
    if (field.value.length <= 4) bytes.set(field.value, entry + 8);
    else {
      view.setUint32(entry + 8, at + outside, true);
      bytes.set(field.value, outside);
      outside += even(field.value);
    }
    entry += 12;
  }
  return bytes;
}

function even(value: Uint8Array): number {
  return value.length + (value.length & 1);
}

function ascii(tag: number, text: string): Field {
  const value = new TextEncoder().encode(`${text}\0`);
  return { tag, type: "ascii", count: value.length, value };
}

function short(tag: number, number: number): Field {
  return {
    tag,
    type: "short",
    count: 1,
    value: new Uint8Array([number & 0xff, number >> 8, 0, 0]),
  };
}

function long(tag: number, number: number): Field {
  const value = new Uint8Array(4);
  new DataView(value.buffer).setUint32(0, number, true);
  return { tag, type: "long", count: 1, value };
}

function undefinedBytes(tag: number, value: Uint8Array): Field {
  return { tag, type: "undefined", count: value.length, value };
}

/** Degrees, minutes and seconds as three rationals, to a hundredth of a second of arc. */
function degrees(tag: number, angle: number): Field {
  const hundredths = Math.round(Math.abs(angle) * 3600 * 100);
  const parts = [Math.floor(hundredths / 360_000), 1]
    .concat([Math.floor(hundredths / 6000) % 60, 1])
    .concat([hundredths % 6000, 100]);
  const value = new Uint8Array(24);
  const view = new DataView(value.buffer);
  parts.forEach((part, index) => view.setUint32(index * 4, part, true));
  return { tag, type: "rational", count: 3, value };
}

/** `2026:11:22 18:00:00`, as Exif writes times. */
function exifTime(time: Date): string {
  return time.toISOString().slice(0, 19).replaceAll("-", ":").replace("T", " ");
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
