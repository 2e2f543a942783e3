/**
 * Compares image formats for the variants on photographs of one's own: bytes and encoding time at
 * equal likeness (SSIM) to the losslessly resized original, 1080 pixels wide.
 */
import { parseArgs } from "node:util";
import sharp, { type Sharp } from "sharp";

const help = `Usage: deno task bench formats <photograph>...

Encodes each photograph, resized to at most 1080 × 2160, with every candidate at several qualities,
measures SSIM (Wang et al. 2004) on luma against the resized pixels, and interpolates bytes and
milliseconds at equal SSIM. Prints a Markdown table of the means over all photographs.`;

type Encode = (image: Sharp, quality: number) => Sharp;

interface Candidate {
  readonly name: string;
  readonly qualities: readonly number[];
  readonly encode: Encode;
}

const usual = [20, 40, 55, 65, 75, 80, 85, 90, 95];
/** All with chroma at half the resolution, as WebP always has it. */
const candidates: readonly Candidate[] = [
  { name: "JPEG", qualities: usual, encode: (image, quality) => image.jpeg({ quality }) },
  {
    name: "JPEG, mozjpeg",
    qualities: usual,
    encode: (image, quality) => image.jpeg({ quality, mozjpeg: true }),
  },
  ...[0, 2, 4].map((effort): Candidate => ({
    name: `WebP, effort ${effort}`,
    qualities: usual,
    encode: (image, quality) => image.webp({ quality, effort }),
  })),
  ...[0, 1, 2].map((effort): Candidate => ({
    name: `AVIF, effort ${effort}`,
    qualities: [15, 25, 35, 45, 55, 65, 75, 85],
    encode: (image, quality) => image.avif({ quality, effort, chromaSubsampling: "4:2:0" }),
  })),
];

const targets = [0.95, 0.97, 0.98];

interface Raster {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

interface Sample {
  readonly quality: number;
  readonly ssim: number;
  readonly bytes: number;
  readonly milliseconds: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: "boolean", short: "h" } },
});
if (values.help || positionals.length === 0) {
  console.log(help);
  Deno.exit(values.help ? 0 : 2);
}
sharp.cache(false);
sharp.concurrency(1);

const measured = new Map<string, Sample[][]>();
for (const [index, path] of positionals.entries()) {
  const reference = await resized(path);
  const luma = lumaOf(reference);
  for (const candidate of candidates) {
    const samples = await measure(candidate, reference, luma);
    measured.set(candidate.name, [...measured.get(candidate.name) ?? [], samples]);
  }
  console.error(`${index + 1} of ${positionals.length}: ${path}`);
}
for (const target of targets) printTable(target);

async function resized(path: string): Promise<Raster> {
  const { data, info } = await sharp(path)
    .autoOrient()
    .resize(1080, 2160, { fit: "inside", withoutEnlargement: true })
    .toColourspace("srgb")
    .flatten({ background: "white" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

async function measure(
  { qualities, encode }: Candidate,
  reference: Raster,
  luma: Float64Array,
): Promise<Sample[]> {
  const { width, height } = reference;
  const samples: Sample[] = [];
  for (const quality of qualities) {
    const image = () => sharp(reference.data, { raw: { width, height, channels: 3 } });
    let milliseconds = Infinity;
    let bytes = new Uint8Array();
    for (let run = 0; run < 2; run++) {
      const start = performance.now();
      bytes = await encode(image(), quality).toBuffer();
      milliseconds = Math.min(milliseconds, performance.now() - start);
    }
    const data = await sharp(bytes).toColourspace("srgb").raw().toBuffer();
    const likeness = ssim(luma, lumaOf({ data, width, height }), width, height);
    samples.push({ quality, ssim: likeness, bytes: bytes.length, milliseconds });
  }
  return samples;
}

/** ITU-R BT.601 luma, 0 to 255. */
function lumaOf({ data, width, height }: Raster): Float64Array {
  const luma = new Float64Array(width * height);
  const at = (index: number) => data[index] ?? 0;
  for (let index = 0; index < luma.length; index++) {
    const pixel = index * 3;
    luma[index] = 0.299 * at(pixel) + 0.587 * at(pixel + 1) + 0.114 * at(pixel + 2);
  }
  return luma;
}

/**
 * Mean structural similarity with an 11-tap Gaussian window, σ = 1.5, K₁ = 0.01, K₂ = 0.03
 * (Z. Wang et al., "Image Quality Assessment", IEEE Transactions on Image Processing 13, 2004).
 */
function ssim(x: Float64Array, y: Float64Array, width: number, height: number): number {
  const smooth = (values: Float64Array) => blurred(values, width, height);
  const product = (a: Float64Array, b: Float64Array) =>
    a.map((value, index) => value * (b[index] ?? 0));
  const [meanX, meanY] = [smooth(x), smooth(y)];
  const [xx, yy, xy] = [smooth(product(x, x)), smooth(product(y, y)), smooth(product(x, y))];
  const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];
  let sum = 0;
  for (let index = 0; index < meanX.length; index++) {
    const [mx = 0, my = 0] = [meanX[index], meanY[index]];
    const varianceX = (xx[index] ?? 0) - mx * mx;
    const varianceY = (yy[index] ?? 0) - my * my;
    const covariance = (xy[index] ?? 0) - mx * my;
    sum += ((2 * mx * my + c1) * (2 * covariance + c2)) /
      ((mx * mx + my * my + c1) * (varianceX + varianceY + c2));
  }
  return sum / meanX.length;
}

/** Separable Gaussian over the windows that lie wholly inside. */
function blurred(values: Float64Array, width: number, height: number): Float64Array {
  const taps = Array.from({ length: 11 }, (_, index) => Math.exp(-((index - 5) ** 2) / 4.5));
  const total = taps.reduce((sum, tap) => sum + tap);
  const [innerWidth, innerHeight] = [Math.max(0, width - 10), Math.max(0, height - 10)];
  const rows = new Float64Array(innerWidth * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < innerWidth; x++) {
      let sum = 0;
      for (let tap = 0; tap < 11; tap++) {
        sum += (taps[tap] ?? 0) * (values[y * width + x + tap] ?? 0);
      }
      rows[y * innerWidth + x] = sum / total;
    }
  }
  const result = new Float64Array(innerWidth * innerHeight);
  for (let y = 0; y < innerHeight; y++) {
    for (let x = 0; x < innerWidth; x++) {
      let sum = 0;
      for (let tap = 0; tap < 11; tap++) {
        sum += (taps[tap] ?? 0) * (rows[(y + tap) * innerWidth + x] ?? 0);
      }
      result[y * innerWidth + x] = sum / total;
    }
  }
  return result;
}

/** Between the two qualities whose likeness brackets the target; undefined outside them. */
function interpolate(samples: readonly Sample[], target: number): Sample | undefined {
  const above = samples.findIndex(({ ssim }) => ssim >= target);
  const [low, high] = [samples[above - 1], samples[above]];
  if (!low || !high) return undefined;
  const share = (target - low.ssim) / (high.ssim - low.ssim);
  const between = (of: (sample: Sample) => number) => of(low) + share * (of(high) - of(low));
  return {
    quality: between(({ quality }) => quality),
    ssim: target,
    bytes: Math.exp(between(({ bytes }) => Math.log(bytes))),
    milliseconds: between(({ milliseconds }) => milliseconds),
  };
}

/** Only photographs on which every candidate reaches the target count, so all means are of the same. */
function printTable(target: number): void {
  const points = candidates.map(({ name }) =>
    (measured.get(name) ?? []).map((samples) => interpolate(samples, target))
  );
  const counted = positionals.map((_, photo) => photo)
    .filter((photo) => points.every((candidate) => candidate[photo]));
  console.log(`\nAt SSIM ${target}, ${counted.length} of ${positionals.length} photographs\n`);
  if (counted.length === 0) return;
  console.log("| format | quality | KB | ms |\n| --- | ---: | ---: | ---: |");
  for (const [index, { name }] of candidates.entries()) {
    const chosen = counted.flatMap((photo) => points[index]?.[photo] ?? []);
    const mean = (of: (sample: Sample) => number) =>
      chosen.reduce((sum, sample) => sum + of(sample), 0) / chosen.length;
    const quality = mean((sample) => sample.quality).toFixed(0);
    const kilobytes = mean((sample) => sample.bytes / 1000).toFixed(1);
    const milliseconds = mean((sample) => sample.milliseconds).toFixed(0);
    console.log(`| ${name} | ${quality} | ${kilobytes} | ${milliseconds} |`);
  }
}
