import { variantWidths } from "../../domain/media.ts";

/** How WebP is made: quality 0 to 100, effort 0 to 6. */
export interface Encoding {
  readonly quality: number;
  readonly effort: number;
}

/**
 * Every recipe there is, by its number, which goes up with every change of size, crop, format or
 * quality: see README.md. What a number means never changes, since keys and manifests bear it.
 */
const recipes: Readonly<Record<number, Encoding>> = {
  1: { quality: 80, effort: 4 },
  2: { quality: 80, effort: 6 },
};

/** What uploads are made by. */
export const recipe = 1;

export const recipeNumbers: readonly number[] = Object.keys(recipes).map(Number);

/** @throws for a number that this release does not know. */
export function encodingOf(recipe: number): Encoding {
  const encoding = recipes[recipe];
  if (encoding) return encoding;
  throw new Error(`recipe ${recipe} is not known here: ${recipeNumbers.join(", ")} are`);
}

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
