import type { TopicPartition } from "../port.ts";

export interface GroupMember {
  readonly id: string;
  readonly topics: ReadonlySet<string>;
}

export interface Assignment extends TopicPartition {
  /** Null when no member takes the topic. */
  readonly member: string | null;
}

/**
 * Shares partitions among members: the same for the same input in whatever order, and each partition
 * to a member that takes its topic. Members that take the same topics get the same number but for
 * one. Sticky: no partition moves that balance does not require to.
 */
export function assign(
  members: readonly GroupMember[],
  current: readonly Assignment[],
): Assignment[] {
  const shares = new Map(
    members.toSorted((a, b) => compare(a.id, b.id)).map((member) => [
      member.id,
      { member, held: [] as TopicPartition[] },
    ]),
  );
  const homeless: TopicPartition[] = [];
  for (const { topic, partition, member } of current.toSorted(byPlace)) {
    const share = member === null ? undefined : shares.get(member);
    (share?.member.topics.has(topic) ? share.held : homeless).push({ topic, partition });
  }
  for (const place of homeless) fewest([...shares.values()], place)?.held.push(place);
  while (moveOne([...shares.values()]));

  const owners = new Map<string, string>();
  for (const { member, held } of shares.values()) {
    for (const place of held) owners.set(name(place), member.id);
  }
  return current.map(({ topic, partition }) => ({
    topic,
    partition,
    member: owners.get(name({ topic, partition })) ?? null,
  }));
}

interface Share {
  readonly member: GroupMember;
  readonly held: TopicPartition[];
}

function fewest(shares: readonly Share[], place: TopicPartition): Share | undefined {
  const takers = shares.filter((share) => share.member.topics.has(place.topic));
  return takers.toSorted((a, b) => a.held.length - b.held.length)[0];
}

/**
 * Moves a partition from a fuller member to one with at least two fewer, of the topic they share most
 * unequally. Each move lessens the sum of squares, so moving comes to an end.
 */
function moveOne(shares: readonly Share[]): boolean {
  for (const from of shares.toSorted((a, b) => b.held.length - a.held.length)) {
    for (const to of shares.toSorted((a, b) => a.held.length - b.held.length)) {
      if (from.held.length - to.held.length < 2) break;
      const excess = (place: TopicPartition) => count(from, place.topic) - count(to, place.topic);
      const [place] = from.held.filter((place) => to.member.topics.has(place.topic))
        .toSorted((a, b) => excess(b) - excess(a));
      if (!place) continue;
      from.held.splice(from.held.indexOf(place), 1);
      to.held.push(place);
      return true;
    }
  }
  return false;
}

function count(share: Share, topic: string): number {
  return share.held.filter((place) => place.topic === topic).length;
}

function name({ topic, partition }: TopicPartition): string {
  return `${topic}:${partition}`;
}

function byPlace(a: TopicPartition, b: TopicPartition): number {
  return compare(a.topic, b.topic) || a.partition - b.partition;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
