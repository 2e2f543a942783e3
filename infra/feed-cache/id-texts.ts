import { formatId } from "./sorted-ids.ts";

/** Ids whose texts are kept: about 100 bytes each. */
const slots = 1 << 15;

const texts: (string | undefined)[] = Array.from({ length: slots });
const words = new Uint32Array(4 * slots);

/**
 * The text of the id at `at`, 16 bytes. The same string as before for an id that was asked for lately:
 * feeds share posts, so that most have been, and whoever looks it up finds its hash computed.
 */
export function textOfId(bytes: Uint8Array, at: number): string {
  const first = wordAt(bytes, at);
  const second = wordAt(bytes, at + 4);
  const third = wordAt(bytes, at + 8);
  // The last bytes of a UUIDv7 are random.
  const fourth = wordAt(bytes, at + 12);
  const slot = fourth & (slots - 1);
  const kept = texts[slot];
  const word = 4 * slot;
  const same = kept !== undefined && words[word] === first && words[word + 1] === second &&
    words[word + 2] === third && words[word + 3] === fourth;
  if (same) return kept;
  words.set([first, second, third, fourth], word);
  return texts[slot] = formatId(bytes.subarray(at, at + 16));
}

function wordAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 24 | (bytes[at + 1] ?? 0) << 16 | (bytes[at + 2] ?? 0) << 8 |
    (bytes[at + 3] ?? 0)) >>> 0;
}
