import { variantWidths } from "../../domain/media.ts";

/** Goes up with every change of size, crop, format or quality: see README.md. */
export const recipe = 1;

export const encoding = { quality: 80, effort: 4 } as const;

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Cuts {
  readonly large: Size;
  readonly medium: Size;
  /** The side of the thumbnail's square, cut from the middle. */
  readonly square: number;
  /** What to decode to: all three can be made from it by shrinking alone. */
  readonly raster: Size;
}

/** How an original of this upright size is cut. Nothing is ever enlarged. */
export function cutsOf(upright: Size): Cuts {
  const large = fitWithin(upright, variantWidths.large);
  const medium = fitWithin(upright, variantWidths.medium);
  const shortSide = Math.min(upright.width, upright.height);
  const square = Math.min(variantWidths.thumbnail, shortSide);
  // A long and narrow original leaves a large variant too narrow to cut the square from.
  const raster = Math.min(large.width, large.height) >= square
    ? large
    : scaled(upright, square / shortSide);
  return { large, medium, square, raster };
}

/** The largest size of the same shape at most `maximumWidth` wide and twice that tall. */
function fitWithin(size: Size, maximumWidth: number): Size {
  return scaled(size, Math.min(1, maximumWidth / size.width, 2 * maximumWidth / size.height));
}

/** A side never vanishes: 1 × 5000 becomes 1 × 2160. */
function scaled({ width, height }: Size, scale: number): Size {
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}
