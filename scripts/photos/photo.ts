import { Image } from "imagescript";
import { type Exif, type Orientation, orientations, withExif } from "./exif.ts";
import { storeOriented } from "./orientation.ts";
import { Random } from "./random.ts";
import { drawScene, type Scene, sceneNames } from "./scenes.ts";

/** Pixels, upright. */
export const formats = {
  "3:2": { width: 2400, height: 1600 },
  "4:3": { width: 2240, height: 1680 },
  "1:1": { width: 2000, height: 2000 },
  "3:4": { width: 1680, height: 2240 },
  /** Taller than a variant may be. */
  "1:3": { width: 1000, height: 3000 },
  "12 megapixels": { width: 4032, height: 3024 },
} as const;
export type Format = keyof typeof formats;

export interface PhotoOptions {
  readonly seed: number;
  /** Drawn from the seed when left out, and so with everything below. */
  readonly scene?: Scene;
  readonly format?: Format;
  /** Pixels, upright; instead of a format. */
  readonly size?: { readonly width: number; readonly height: number };
  readonly orientation?: Orientation;
}

export interface Photo {
  /** A JPEG with Exif: orientation, camera, time and place, as a phone writes them. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: "image/jpeg";
  readonly scene: Scene;
  /** Pixels, upright. */
  readonly width: number;
  readonly height: number;
  readonly exif: Exif & { readonly orientation: Orientation };
  /** What a person would see, for the alternative text. */
  readonly description: string;
}

const cameras = [
  ["Shutterlog", "Box 1"],
  ["Shutterlog", "Field 35"],
  ["Shutterlog", "Pocket S"],
] as const;
const commonFormats = ["3:2", "3:2", "4:3", "4:3", "1:1", "3:4", "1:3"] as const;

/** Draws a photograph. The same options give the same bytes. */
export async function drawPhoto(options: PhotoOptions): Promise<Photo> {
  const random = new Random(options.seed);
  const scene = options.scene ?? random.pick([...sceneNames, "landscape", "landscape"]);
  const size = options.size ?? formats[options.format ?? random.pick(commonFormats)];
  const orientation = options.orientation ?? random.pick([1, 1, 1, ...orientations]);
  const [make, model] = random.pick(cameras);
  const exif = {
    orientation,
    make,
    model,
    takenAt: new Date(Date.UTC(2026, random.below(12), 1 + random.below(28), random.below(24))),
    position: { latitude: random.between(-60, 70), longitude: random.between(-180, 180) },
  };

  const drawing = drawScene(scene, random, size.width, size.height);
  const stored = storeOriented(drawing, orientation);
  const image = new Image(stored.width, stored.height);
  image.bitmap.set(new Uint8ClampedArray(stored.words.buffer));
  const bytes = new Uint8Array(withExif(await image.encodeJPEG(88), exif));
  const { width, height, description } = drawing;
  return { bytes, contentType: "image/jpeg", scene, width, height, exif, description };
}
