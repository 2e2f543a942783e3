/** One image process: takes originals on standard input, one at a time, until it is closed. */
import type { z } from "zod";
import { variantNames } from "../../domain/media.ts";
import { FrameReader, FrameWriter } from "./frames.ts";
import { type reply, request } from "./isolated.ts";
import { type EncodedImage, Unprocessable } from "./port.ts";
import { createSharpProcessor } from "./sharp.ts";

const processor = createSharpProcessor();
const input = new FrameReader(Deno.stdin.readable);
const output = new FrameWriter(Deno.stdout.writable);

for (let frame = await input.read(); frame; frame = await input.read()) {
  const [original = new Uint8Array()] = frame.blobs;
  await output.write(await answer(original, request.parse(frame.header).recipe));
}

async function answer(
  original: Uint8Array,
  recipe: number,
): Promise<{ header: z.input<typeof reply>; blobs: readonly Uint8Array[] }> {
  try {
    const { variants, ...image } = await processor.process(original, recipe);
    const { thumbnail, medium, large } = variants;
    const described = {
      thumbnail: withoutBytes(thumbnail),
      medium: withoutBytes(medium),
      large: withoutBytes(large),
    };
    return {
      header: { outcome: "processed", image, variants: described },
      blobs: variantNames.map((name) => variants[name].bytes),
    };
  } catch (error) {
    if (error instanceof Unprocessable) {
      const { reason, detail } = error;
      return { header: { outcome: "unprocessable", reason, detail }, blobs: [] };
    }
    const message = error instanceof Error ? error.message : String(error);
    return { header: { outcome: "failed", message }, blobs: [] };
  }
}

function withoutBytes({ bytes: _, ...described }: EncodedImage): Omit<EncodedImage, "bytes"> {
  return described;
}
