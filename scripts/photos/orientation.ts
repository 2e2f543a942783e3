import type { Orientation } from "./exif.ts";

/** Row by row, a little-endian word for each: red in its lowest byte, then green, blue and alpha. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly words: Uint32Array<ArrayBuffer>;
}

/**
 * Turns or mirrors upright pixels the way a camera held like that would have stored them: a viewer
 * that honours the Orientation tag shows them upright again. 5 to 8 swap width and height.
 */
export function storeOriented(upright: Pixels, orientation: Orientation): Pixels {
  const { width, height, words } = upright;
  const swaps = orientation >= 5;
  const stored = {
    width: swaps ? height : width,
    height: swaps ? width : height,
    words: new Uint32Array(words.length),
  };
  const { origin, right, down } = walk(width, height, orientation);
  for (let y = 0; y < height; y++) {
    const from = y * width;
    const to = origin + y * down;
    for (let x = 0; x < width; x++) stored.words[to + x * right] = words[from + x] ?? 0;
  }
  return stored;
}

interface Walk {
  /** Where the upright top left pixel is stored. */
  readonly origin: number;
  /** How far apart in store two pixels lie that are neighbours in a row, and in a column. */
  readonly right: number;
  readonly down: number;
}

function walk(width: number, height: number, orientation: Orientation): Walk {
  const last = width * height - 1;
  switch (orientation) {
    case 1:
      return { origin: 0, right: 1, down: width };
    case 2:
      return { origin: width - 1, right: -1, down: width };
    case 3:
      return { origin: last, right: -1, down: -width };
    case 4:
      return { origin: last - width + 1, right: 1, down: -width };
    case 5:
      return { origin: 0, right: height, down: 1 };
    case 6:
      return { origin: last - height + 1, right: -height, down: 1 };
    case 7:
      return { origin: last, right: -height, down: -1 };
    case 8:
      return { origin: height - 1, right: height, down: -1 };
  }
}
