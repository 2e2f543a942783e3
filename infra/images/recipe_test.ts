import assert from "node:assert/strict";
import fc from "fast-check";
import { cutsOf, type Size } from "./recipe.ts";

const table: readonly [string, string, string, number][] = [
  ["4000x3000", "1080x810", "600x450", 150],
  ["3000x4000", "1080x1440", "600x800", 150],
  ["1080x2160", "1080x2160", "600x1200", 150],
  ["1000x4000", "540x2160", "300x1200", 150],
  ["500x20000", "54x2160", "30x1200", 150],
  ["20000x500", "1080x27", "600x15", 150],
  ["800x600", "800x600", "600x450", 150],
  ["120x90", "120x90", "120x90", 90],
  ["1x1", "1x1", "1x1", 1],
  ["1x5000", "1x2160", "1x1200", 1],
  ["5000x1", "1080x1", "600x1", 1],
];

for (const [original, large, medium, square] of table) {
  Deno.test(`cutsOf ${original} gives ${large}, ${medium} and a square of ${square}`, () => {
    const [width = 0, height = 0] = original.split("x").map(Number);
    const cuts = cutsOf({ width, height });
    assert.deepEqual([shown(cuts.large), shown(cuts.medium), cuts.square], [large, medium, square]);
  });
}

Deno.test("cutsOf never enlarges and keeps the shape, and its raster covers every cut", () => {
  const side = fc.integer({ min: 1, max: 70_000 });
  fc.assert(fc.property(side, side, (width, height) => {
    const { large, medium, square, raster } = cutsOf({ width, height });
    const inside = (inner: Size, outer: Size) =>
      inner.width <= outer.width && inner.height <= outer.height;
    assert(inside(raster, { width, height }));
    assert(inside(large, raster) && inside(large, { width: 1080, height: 2160 }));
    assert(inside(medium, large) && inside(medium, { width: 600, height: 1200 }));
    assert(inside({ width: square, height: square }, raster));
    for (const cut of [large, medium, raster]) {
      // Rounding apart, one scale explains both sides, unless one is already down to a pixel.
      const least = Math.max((cut.width - 0.5) / width, (cut.height - 0.5) / height);
      const most = Math.min((cut.width + 0.5) / width, (cut.height + 0.5) / height);
      assert(least <= most || cut.width === 1 || cut.height === 1);
    }
    assert(raster.width * raster.height <= Math.max(1080 * 2160, 150 * 70_001));
  }));
});

function shown({ width, height }: Size): string {
  return `${width}x${height}`;
}
