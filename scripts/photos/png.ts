import { crc32 } from "node:zlib";

export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Bits of one sample. */
  readonly depth: 1 | 2 | 4 | 8 | 16;
  readonly colour: keyof typeof colourTypes;
}

const colourTypes = { grey: 0, rgb: 2, rgba: 6 } as const;
const samples = { grey: 1, rgb: 3, rgba: 4 } as const;

/**
 * A PNG (W3C PNG, third edition) of rows made on demand, compressed as they come, so that one far
 * larger than memory costs only its compressed size. `row(y)` fills the samples of a row, big-endian.
 */
export async function encodePng(
  header: PngHeader,
  row: (y: number, samples: Uint8Array) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const rowBytes = Math.ceil(header.width * samples[header.colour] * header.depth / 8);
  let y = 0;
  const rows = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (y === header.height) return controller.close();
      // One filter byte (0, none) before the samples.
      const line = new Uint8Array(1 + rowBytes);
      row(y++, line.subarray(1));
      controller.enqueue(line);
    },
  });
  const compressed = rows.pipeThrough(new CompressionStream("deflate"));
  const data = await new Response(compressed).bytes();

  const start = new Uint8Array(13);
  const view = new DataView(start.buffer);
  view.setUint32(0, header.width);
  view.setUint32(4, header.height);
  start[8] = header.depth;
  start[9] = colourTypes[header.colour];
  return await new Blob([
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", start),
    chunk("IDAT", data),
    chunk("IEND", new Uint8Array()),
  ]).bytes();
}

function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}
