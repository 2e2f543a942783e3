/** Adobe RGB (1998) as an ICC version 2 display profile: primaries for D50, gamma 2.2. */
export const adobeRgb: Uint8Array = matrixProfile({
  rXYZ: [0.60974, 0.31111, 0.01947],
  gXYZ: [0.20528, 0.62567, 0.06087],
  bXYZ: [0.14919, 0.06322, 0.74457],
}, 2.19921875);

function matrixProfile(
  primaries: Record<"rXYZ" | "gXYZ" | "bXYZ", readonly number[]>,
  gamma: number,
): Uint8Array {
  const curve = tag("curv", [...u32(1), ...u16(gamma * 256), 0, 0]);
  const place = (xyz: readonly number[]) => tag("XYZ ", xyz.flatMap((v) => u32(v * 65536)));
  const name = "Adobe RGB (1998)";
  const tags: [string, number[]][] = [
    ["desc", tag("desc", [...u32(name.length + 1), ...ascii(name), ...Array(82).fill(0)])],
    ["cprt", tag("text", [...ascii("none"), 0, 0, 0, 0])],
    ["wtpt", place([0.9642, 1, 0.8249])],
    ["rXYZ", place(primaries.rXYZ)],
    ["gXYZ", place(primaries.gXYZ)],
    ["bXYZ", place(primaries.bXYZ)],
    ["rTRC", curve],
    ["gTRC", curve],
    ["bTRC", curve],
  ];
  const table: number[] = u32(tags.length);
  const data: number[] = [];
  const dataStart = 128 + 4 + tags.length * 12;
  for (const [signature, bytes] of tags) {
    table.push(...ascii(signature), ...u32(dataStart + data.length), ...u32(bytes.length));
    data.push(...bytes, ...Array(-bytes.length & 3).fill(0));
  }
  const header = Array<number>(128).fill(0);
  const put = (at: number, bytes: number[]) => header.splice(at, bytes.length, ...bytes);
  put(0, u32(dataStart + data.length));
  put(8, u32(0x02400000));
  put(12, ascii("mntrRGB XYZ "));
  put(36, ascii("acsp"));
  put(68, [0.9642, 1, 0.8249].flatMap((v) => u32(v * 65536)));
  return Uint8Array.from([...header, ...table, ...data]);
}

function tag(type: string, content: readonly number[]): number[] {
  return [...ascii(type), 0, 0, 0, 0, ...content];
}

function ascii(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}

function u16(value: number): number[] {
  const rounded = Math.round(value);
  return [rounded >> 8, rounded & 255];
}

function u32(value: number): number[] {
  const rounded = Math.round(value);
  return [24, 16, 8, 0].map((shift) => (rounded >>> shift) & 255);
}
