/**
 * Messages between the image worker and its image processes: a JSON header and blobs, as
 * `u32 header length | header | blobs`, big-endian; the header begins with the blobs' lengths.
 */
export interface Frame {
  readonly header: unknown;
  readonly blobs: readonly Uint8Array[];
}

export class FrameWriter {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
  }

  async write({ header, blobs }: Frame): Promise<void> {
    const text = JSON.stringify([blobs.map((blob) => blob.length), header]);
    const encoded = new TextEncoder().encode(text);
    const prefix = new Uint8Array(4);
    new DataView(prefix.buffer).setUint32(0, encoded.length);
    for (const part of [prefix, encoded, ...blobs]) {
      if (part.length > 0) await this.#writer.write(part);
    }
  }

  close(): Promise<void> {
    return this.#writer.close();
  }
}

export class FrameReader {
  readonly #reader: ReadableStreamBYOBReader;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  /** Undefined when the stream ends, be it in the middle of a frame. */
  async read(): Promise<Frame | undefined> {
    const prefix = await this.#exactly(4);
    const encoded = prefix && await this.#exactly(new DataView(prefix.buffer).getUint32(0));
    if (!encoded) return undefined;
    const [lengths, header] = JSON.parse(new TextDecoder().decode(encoded)) as [number[], unknown];
    const blobs: Uint8Array[] = [];
    for (const length of lengths) {
      const blob = await this.#exactly(length);
      if (!blob) return undefined;
      blobs.push(blob);
    }
    return { header, blobs };
  }

  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  async #exactly(length: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (length === 0) return new Uint8Array();
    const { value } = await this.#reader.read(new Uint8Array(length), { min: length });
    return value?.length === length ? value : undefined;
  }
}
