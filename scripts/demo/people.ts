import type { Random } from "../photos/random.ts";
import type { Photo } from "../photos/photo.ts";

export interface Person {
  readonly handle: string;
  readonly displayName: string;
  readonly bio: string;
}

const firstNames = [
  ["Amara", "Ines", "Kenji", "Lucía", "Mateo", "Nadia", "Oskar", "Priya"],
  ["Ravi", "Saga", "Tomas", "Wanjiru", "Yusuf", "Zoë", "Elif", "Noa"],
].flat();
const lastNames = [
  ["Adeyemi", "Bergström", "Castillo", "Dubois", "Eriksen", "Fujita"],
  ["Gupta", "Haddad", "Ivanova", "Kamau", "Lindqvist", "Moreau"],
].flat();
const bios = [
  "Ridges, mostly before breakfast.",
  "One lens, one walk a day.",
  "Chasing the last ten minutes of light.",
  "Colour studies and other abstractions.",
  "Stone, moss, rust: close up.",
  "Lakes when they are still.",
];

/** `count` people with different handles. */
export function people(random: Random, count: number): Person[] {
  const names = random.shuffle(
    firstNames.flatMap((first) => lastNames.map((last) => [first, last])),
  );
  return Array.from({ length: count }, (_, index) => {
    const [first = "", last = ""] = names[index % names.length] ?? [];
    const round = Math.floor(index / names.length);
    const handle = ascii(`${first}.${last}`) + (round > 0 ? String(round) : "");
    return { handle, displayName: `${first} ${last}`, bio: random.pick(bios) };
  });
}

/** The same handle with a number behind it, for when it is taken. */
export function otherHandle(handle: string, random: Random): string {
  return `${handle.slice(0, 25)}.${1000 + random.below(9000)}`;
}

function ascii(name: string): string {
  return name.normalize("NFD").replaceAll(/[^A-Za-z.]/g, "").toLowerCase();
}

const captions = {
  landscape: [
    "Worth the alarm clock.",
    "Nobody else up here.",
    "Five minutes later it was gone.",
    "The long way round, again.",
    "Same ridge, different light.",
  ],
  gradient: [
    "Study in two colours.",
    "Somewhere between dusk and paint.",
    "No subject, only mood.",
  ],
  texture: ["Look closer.", "Found on the way home.", "Everything is a landscape up close."],
} as const;

export function caption(random: Random, photo: Photo): string {
  return random.pick(captions[photo.scene]);
}

const comments = [
  "That light!",
  "Where is this?",
  "I can almost hear the quiet.",
  "Printing this one, please.",
  "The layers in this are lovely.",
  "How long did you wait for it?",
  "More of these!",
  "I walked there last spring.",
];

export function comment(random: Random): string {
  return random.pick(comments);
}

/**
 * Who follows whom, by index: a ring of neighbours with some ties thrown across it, so that most
 * are few steps apart (Watts and Strogatz, 1998). Nobody follows themselves, or anyone twice.
 */
export function smallWorld(
  random: Random,
  count: number,
  { neighbours = 4, rewired = 0.2 }: { neighbours?: number; rewired?: number } = {},
): [follower: number, followee: number][] {
  const ties: [number, number][] = [];
  for (let follower = 0; follower < count; follower++) {
    const followed = new Set<number>();
    for (let step = 1; step <= Math.min(neighbours, count - 1); step++) {
      const near = (follower + step) % count;
      const far = random.chance(rewired) ? random.below(count) : near;
      const pick = far === follower || followed.has(far) ? near : far;
      if (pick !== follower && !followed.has(pick)) followed.add(pick);
    }
    for (const followee of followed) ties.push([follower, followee]);
  }
  return ties;
}
