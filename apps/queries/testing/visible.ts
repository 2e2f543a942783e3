import type { DomainEvent } from "../../../domain/events.ts";

type Fact = Pick<DomainEvent, "type" | "data">;

/** The posts of a reader's feed by these facts alone; those of one aggregate are in order. */
export function visibleTo(readerId: string, facts: Iterable<Fact>): Set<string> {
  const authors = new Map<string, string>();
  const [deleted, known, closed] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const [following, blocks] = [new Set<string>(), new Set<string>()];
  for (const fact of facts) {
    const { type, data } = fact as DomainEvent;
    if (type === "AccountRegistered") known.add(data.accountId);
    else if (type === "AccountClosed") closed.add(data.accountId);
    else if (type === "PostCreated") authors.set(data.postId, data.authorId);
    else if (type === "PostDeleted") deleted.add(data.postId);
    else if (type === "AccountBlocked") blocks.add(`${data.blockerId} ${data.blockedId}`);
    else if (type === "AccountUnblocked") blocks.delete(`${data.blockerId} ${data.blockedId}`);
    else if (type === "AccountFollowed") {
      if (data.followerId === readerId) following.add(data.followeeId);
    } else if (type === "AccountUnfollowed") {
      if (data.followerId === readerId) following.delete(data.followeeId);
    }
  }
  const mayBeSeen = (author: string) =>
    following.has(author) && known.has(author) && !closed.has(author) &&
    !blocks.has(`${author} ${readerId}`) && !blocks.has(`${readerId} ${author}`);
  return new Set(
    [...authors].filter(([post, author]) => !deleted.has(post) && mayBeSeen(author))
      .map(([post]) => post),
  );
}
