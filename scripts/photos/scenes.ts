import { noiseField, noiseRow } from "./noise.ts";
import type { Pixels } from "./orientation.ts";
import type { Random } from "./random.ts";

export interface Drawing extends Pixels {
  /** What a person would see, for the alternative text. */
  readonly description: string;
}

/** A pixel's word without its alpha: 0xBBGGRR. Channels end at 248, to leave room for grain. */
type Colour = number;

function rgb(red: number, green: number, blue: number): Colour {
  const [r, g, b] = [red, green, blue].map((channel) => Math.min(248, channel));
  return (r ?? 0) | ((g ?? 0) << 8) | ((b ?? 0) << 16);
}

interface Light {
  readonly name: string;
  readonly zenith: Colour;
  readonly horizon: Colour;
  readonly sun: Colour;
  readonly far: Colour;
  readonly near: Colour;
}

const lights: readonly Light[] = [
  {
    name: "at dawn",
    zenith: rgb(52, 74, 130),
    horizon: rgb(255, 190, 150),
    sun: rgb(255, 236, 200),
    far: rgb(148, 132, 160),
    near: rgb(28, 30, 52),
  },
  {
    name: "at noon",
    zenith: rgb(40, 110, 200),
    horizon: rgb(190, 222, 246),
    sun: rgb(255, 255, 240),
    far: rgb(140, 168, 190),
    near: rgb(30, 58, 42),
  },
  {
    name: "at dusk",
    zenith: rgb(38, 24, 74),
    horizon: rgb(250, 120, 80),
    sun: rgb(255, 210, 130),
    far: rgb(120, 70, 100),
    near: rgb(18, 12, 30),
  },
  {
    name: "in moonlight",
    zenith: rgb(8, 12, 30),
    horizon: rgb(52, 72, 108),
    sun: rgb(226, 232, 246),
    far: rgb(44, 58, 88),
    near: rgb(6, 8, 16),
  },
  {
    name: "under autumn haze",
    zenith: rgb(150, 160, 168),
    horizon: rgb(240, 214, 170),
    sun: rgb(255, 244, 214),
    far: rgb(190, 156, 110),
    near: rgb(72, 38, 18),
  },
];

/** Sky, sun, ridges behind ridges, and water that mirrors them. */
function landscape(random: Random, width: number, height: number): Drawing {
  const light = random.pick(lights);
  const hasWater = random.chance(0.6);
  const shore = Math.round(height * (hasWater ? random.between(0.68, 0.82) : 1));
  const horizon = height * random.between(0.42, 0.58);
  const sunX = width * random.between(0.15, 0.85);
  const sunY = height * random.between(0.12, 0.4);
  const radius = Math.min(width, height) * random.between(0.025, 0.06);

  const layers = 3 + random.below(3);
  const depths = Array.from({ length: layers }, (_, layer) => (layer + 1) / layers);
  const colours = depths.map((depth) => mix(light.far, light.near, depth));
  const tops = depths.map((depth, layer) => {
    const base = horizon + (shore - horizon) * depth * 0.92;
    const relief = height * (0.34 - 0.2 * depth);
    const heights = noiseRow(random, width, { cells: 2 + layer * 2, octaves: 7 });
    return heights.map((value) => base - relief * (value - 0.25));
  });
  const ripple = noiseRow(random, height, { cells: 120, octaves: 2 });

  const words = paint(random, width, height, (x, y) => {
    const water = y >= shore;
    // Each step away from the shore mirrors one above it, shifted sideways by a ripple.
    const depth = water ? (y - shore) / Math.max(1, height - shore) : 0;
    const seenY = water ? shore - (y - shore) * 1.6 : y;
    const sway = water ? ((ripple[y] ?? 0) - 0.5) * width * 0.02 * (0.3 + depth) : 0;
    const seenX = Math.min(width - 1, Math.max(0, Math.round(x + sway)));

    let nearest = layers - 1;
    while (nearest >= 0 && seenY < (tops[nearest]?.[seenX] ?? height)) nearest--;
    let colour: Colour;
    if (nearest >= 0) {
      const mist = (seenY - (tops[nearest]?.[seenX] ?? 0)) / (height * 0.45);
      colour = mix(colours[nearest] ?? light.near, light.far, 0.35 * Math.min(1, mist));
    } else {
      const distance = ((seenX - sunX) ** 2 + (seenY - sunY) ** 2) / (radius * radius);
      const sky = mix(light.zenith, light.horizon, clamp(seenY / horizon));
      colour = mix(sky, light.sun, distance < 1 ? 1 : 0.75 / (1 + (distance - 1) * 0.06));
    }
    return water ? mix(colour, light.zenith, 0.22 + 0.4 * depth) : colour;
  });
  const place = hasWater ? "mountain ridges mirrored in a lake" : "layered mountain ridges";
  return { width, height, words, description: `Drawn ${place} ${light.name}` };
}

const palettes: readonly (readonly [string, Colour, Colour, Colour])[] = [
  ["teal to coral", rgb(14, 90, 110), rgb(250, 240, 210), rgb(240, 100, 90)],
  ["violet to gold", rgb(60, 20, 110), rgb(220, 90, 160), rgb(255, 205, 90)],
  ["moss to sand", rgb(34, 66, 40), rgb(146, 160, 90), rgb(240, 226, 190)],
  ["ink to ice", rgb(10, 14, 40), rgb(50, 110, 190), rgb(225, 245, 255)],
];

/** Colours that flow into one another along bent lines. */
function gradient(random: Random, width: number, height: number): Drawing {
  const [name, first, second, third] = random.pick(palettes);
  const angle = random.between(0, 2 * Math.PI);
  const [dx, dy] = [Math.cos(angle) / width, Math.sin(angle) / height];
  const bend = noiseField(random, width, height, { cells: 3, octaves: 2 });
  const words = paint(random, width, height, (x, y) => {
    const along = (x - width / 2) * dx + (y - height / 2) * dy;
    const at = clamp(0.5 + along * 0.8 + ((bend[y * width + x] ?? 0) - 0.5) * 0.9);
    return at < 0.5 ? mix(first, second, at * 2) : mix(second, third, at * 2 - 1);
  });
  return { width, height, words, description: `An abstract gradient from ${name}` };
}

const materials: readonly (readonly [string, Colour, Colour, number])[] = [
  ["weathered stone", rgb(74, 72, 70), rgb(196, 190, 180), 10],
  ["rusted iron", rgb(58, 28, 18), rgb(206, 112, 52), 14],
  ["drifting clouds", rgb(84, 128, 186), rgb(250, 250, 252), 4],
  ["forest floor", rgb(20, 34, 16), rgb(128, 140, 70), 22],
];

/** A surface seen close, all fine detail: the hard case for an encoder. */
function texture(random: Random, width: number, height: number): Drawing {
  const [name, dark, bright, cells] = random.pick(materials);
  const field = noiseField(random, width, height, { cells, octaves: 5 });
  const words = paint(random, width, height, (x, y) => {
    return mix(dark, bright, clamp(((field[y * width + x] ?? 0) - 0.5) * 1.9 + 0.5));
  });
  return { width, height, words, description: `The texture of ${name}, close up` };
}

const scenes = { landscape, gradient, texture } as const;
export type Scene = keyof typeof scenes;
export const sceneNames = ["landscape", "gradient", "texture"] as const satisfies Scene[];

export function drawScene(scene: Scene, random: Random, width: number, height: number): Drawing {
  return scenes[scene](random, width, height);
}

/** Fills the pixels from a shader, with the grain of a sensor over them. */
function paint(
  random: Random,
  width: number,
  height: number,
  shade: (x: number, y: number) => Colour,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(width * height);
  let grain = 1 + random.below(2 ** 31);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      // xorshift32 (George Marsaglia, 2003)
      grain ^= grain << 13;
      grain ^= grain >>> 17;
      grain ^= grain << 5;
      words[at++] = 0xff000000 | (shade(x, y) + (grain & 7) * 0x010101);
    }
  }
  return words;
}

/** All three channels at once: red and blue share one product, with eight bits of room between. */
function mix(a: Colour, b: Colour, share: number): Colour {
  const towards = (share * 256) | 0;
  const stay = 256 - towards;
  const redBlue = (Math.imul(a & 0xff00ff, stay) + Math.imul(b & 0xff00ff, towards)) >>> 8;
  const green = (Math.imul(a & 0x00ff00, stay) + Math.imul(b & 0x00ff00, towards)) >>> 8;
  return (redBlue & 0xff00ff) | (green & 0x00ff00);
}

function clamp(value: number): number {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}
