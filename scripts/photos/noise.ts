import type { Random } from "./random.ts";

/**
 * A row of fractal value noise in [0, 1]: random values on a lattice, smoothed between, octave upon
 * octave at twice the frequency and half the height.
 */
export function noiseRow(
  random: Random,
  length: number,
  { cells, octaves }: { cells: number; octaves: number },
): Float32Array {
  const row = new Float32Array(length);
  let amplitude = 1;
  let total = 0;
  for (let octave = 0, count = cells; octave < octaves; octave++, count *= 2, amplitude /= 2) {
    const lattice = Float32Array.from({ length: count + 2 }, () => random.next());
    total += amplitude;
    for (let x = 0; x < length; x++) {
      const position = (x / length) * count;
      const cell = Math.floor(position);
      const left = lattice[cell] ?? 0;
      const right = lattice[cell + 1] ?? 0;
      row[x] = (row[x] ?? 0) + amplitude * (left + (right - left) * smooth(position - cell));
    }
  }
  for (let x = 0; x < length; x++) row[x] = (row[x] ?? 0) / total;
  return row;
}

/** The same in two dimensions, row by row. `cells` are counted along the longer side. */
export function noiseField(
  random: Random,
  width: number,
  height: number,
  { cells, octaves }: { cells: number; octaves: number },
): Float32Array {
  const field = new Float32Array(width * height);
  const longer = Math.max(width, height);
  let total = 0;
  for (let octave = 0; octave < octaves; octave++) total += 2 ** -octave;
  for (let octave = 0; octave < octaves; octave++) {
    const scale = (cells * 2 ** octave) / longer;
    const columns = Math.ceil(width * scale) + 2;
    const rows = Math.ceil(height * scale) + 2;
    const lattice = Float32Array.from({ length: columns * rows }, () => random.next());
    const amplitude = 2 ** -octave / total;
    const between = new Float32Array(columns);
    for (let y = 0; y < height; y++) {
      const row = Math.floor(y * scale);
      const down = smooth(y * scale - row);
      for (let column = 0; column < columns; column++) {
        const above = lattice[row * columns + column] ?? 0;
        const below = lattice[(row + 1) * columns + column] ?? 0;
        between[column] = above + (below - above) * down;
      }
      const start = y * width;
      for (let x = 0; x < width; x++) {
        const column = Math.floor(x * scale);
        const left = between[column] ?? 0;
        const right = between[column + 1] ?? 0;
        const value = left + (right - left) * smooth(x * scale - column);
        field[start + x] = (field[start + x] ?? 0) + amplitude * value;
      }
    }
  }
  return field;
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}
