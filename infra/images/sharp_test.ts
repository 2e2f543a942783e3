import assert from "node:assert/strict";
import fc from "fast-check";
import sharp from "sharp";
import { assertUnprocessable, bilevelPng, imageProcessorContract, noise } from "./contract.ts";
import { Unprocessable } from "./port.ts";
import { cutsOf } from "./recipe.ts";
import { createSharpProcessor } from "./sharp.ts";

imageProcessorContract("sharp", () => ({
  ...createSharpProcessor(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}));

Deno.test("sharp: 400 megapixels are refused in less than it takes to decode 4", async () => {
  const bomb = bilevelPng(20_000, 20_000);
  const processor = createSharpProcessor();
  const timed = async (work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  const decoding = await timed(() =>
    sharp(bomb, { limitInputPixels: false })
      .extract({ left: 0, top: 0, width: 20_000, height: 200 }).raw().toBuffer()
  );
  const before = Deno.memoryUsage().rss;
  const refusing = await timed(() => assertUnprocessable(processor, bomb, "too-many-pixels"));
  assert(refusing < decoding, `${refusing} ms to refuse, ${decoding} ms to decode a hundredth`);
  assert(Deno.memoryUsage().rss - before < 50e6, "the pixels were held in memory");
});

Deno.test("sharp: exactly 100 megapixels are taken, one row more is not", async () => {
  const processor = createSharpProcessor();
  assert.equal((await processor.process(bilevelPng(10_000, 10_000))).width, 10_000);
  await assertUnprocessable(processor, bilevelPng(10_000, 10_001), "too-many-pixels");
});

Deno.test("sharp: however a file is cut or changed, it is processed or refused", async () => {
  const draw = () => noise(97, 61);
  const files = await Promise.all([
    draw().jpeg().toBuffer(),
    draw().withMetadata({ orientation: 6 }).jpeg({ progressive: true }).toBuffer(),
    draw().png().toBuffer(),
    draw().png({ palette: true }).toBuffer(),
    draw().webp().toBuffer(),
    draw().webp({ lossless: true }).toBuffer(),
    draw().avif({ effort: 0 }).toBuffer(),
    draw().gif().toBuffer(),
  ]);
  const processor = createSharpProcessor();
  const change = fc.record({
    at: fc.oneof(fc.integer({ min: 0, max: 64 }), fc.nat()),
    to: fc.integer({ min: 0, max: 255 }),
  });
  const damaged = fc.record({
    file: fc.constantFrom(...files),
    changes: fc.array(change, { maxLength: 12 }),
    keep: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  }).map(({ file, changes, keep }) => {
    const bytes = Uint8Array.from(file);
    for (const { at, to } of changes) bytes[at % bytes.length] = to;
    return keep === null ? bytes : bytes.subarray(0, Math.floor(keep * bytes.length));
  });
  await fc.assert(
    fc.asyncProperty(damaged, async (original) => {
      try {
        const { width, height, variants } = await processor.process(original);
        const { large, square } = cutsOf({ width, height });
        assert.deepEqual([variants.large.width, variants.large.height], [
          large.width,
          large.height,
        ]);
        assert.equal(variants.thumbnail.width, square);
        const { info } = await sharp(variants.large.bytes).raw().toBuffer({
          resolveWithObject: true,
        });
        assert.deepEqual([info.width, info.height], [large.width, large.height]);
      } catch (error) {
        assert(error instanceof Unprocessable, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("sharp: damaged files are refused as such, however many fail at the same time", async () => {
  const processor = createSharpProcessor();
  const whole = new Uint8Array(await noise(97, 61).avif({ effort: 0 }).toBuffer());
  const damaged = whole.with(whole.length - 100, (whole.at(-100) ?? 0) ^ 0xff)
    .fill(0, Math.floor(whole.length / 2));
  await Promise.all(
    Array.from({ length: 200 }, () => assertUnprocessable(processor, damaged, "corrupt")),
  );
});
