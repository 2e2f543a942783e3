import assert from "node:assert/strict";
import fc from "fast-check";
import type { DomainEvent } from "../../../domain/events.ts";
import {
  beginFanOuts,
  endFanOut,
  moveFanOut,
  takeFanOut,
} from "../../../projections/feeds/fan-outs.ts";
import {
  authorsToPush,
  pulledAmong,
  pulledFor,
} from "../../../projections/feeds/pulled-authors.ts";
import { closedAmong } from "../../../projections/read-model/reads/accounts.ts";
import { feedPage } from "../../../projections/read-model/reads/feed-page.ts";
import { followersBelow } from "../../../projections/read-model/reads/followers-below.ts";
import { newest } from "../../../projections/read-model/reads/keyset.ts";
import { postsOfAccounts } from "../../../projections/read-model/reads/posts-of-accounts.ts";
import { standingFollows } from "../../../projections/read-model/reads/standing-follows.ts";
import type { SqlQueries } from "../../../infra/sql/port.ts";
import { followed, handleOf, newId, postCreated, type Said, unfollowed } from "./events.ts";
import { MemorySql } from "./memory-sql.ts";
import { openDatabase, World } from "./world.ts";

const sql = await openDatabase();
const person = fc.nat(3);

Deno.test("MemorySql: says of what feeds ask for what PostgreSQL says", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(person, person, fc.nat(5)), { minLength: 5, maxLength: 20 }),
      async (drawn) => {
        const people = Array.from({ length: 4 }, newId);
        const said = [
          ...people.map((accountId): Said => ({
            type: "AccountRegistered",
            data: { accountId, handle: handleOf(accountId) },
          })),
          ...drawn.flatMap(([a, b, what]) => fact(people[a] ?? "", people[b] ?? "", what)),
        ];
        const world = new World(sql);
        for (const one of said) world.append(one);
        await world.advanceReadModel(...world.partitions.keys());
        const memory = new MemorySql(() => Date.now());
        for (const { events } of world.partitions.values()) {
          for (const { event } of events) memory.take(event as DomainEvent);
        }
        assert.deepEqual(await ask(memory, people), await ask(sql, people));
      },
    ),
    { numRuns: 25 },
  );
});

function fact(a: string, b: string, what: number): Said[] {
  if (what === 0) return [{ type: "AccountClosed", data: { accountId: a } }];
  if (what === 1) return [unfollowed(a, b)];
  return what < 4 && a !== b ? [followed(a, b)] : [postCreated(newId(), a)];
}

/** Every statement there is, and then the same after some time with the feeds' own records. */
async function ask(sql: SqlQueries, people: readonly string[]): Promise<unknown[]> {
  const answers: unknown[] = [];
  const sorted = (rows: Iterable<unknown>) => [...rows].sort();
  const pairs = people.flatMap((followerId) =>
    people.map((followeeId) => ({ followerId, followeeId }))
  );
  for (const reader of people) {
    const posts = await feedPage(sql, reader, newest, 3);
    answers.push(posts, await feedPage(sql, reader, posts.at(-1)?.post_id ?? newest, 9));
    const first = await followersBelow(sql, reader, newest, 1);
    answers.push(first, await followersBelow(sql, reader, first.last ?? newest, 2));
  }
  answers.push(await standingFollows(sql, pairs));
  answers.push(sorted(await closedAmong(sql, people)));
  answers.push(sorted(await postsOfAccounts(sql, people, newest, 2)));
  for (const pullThreshold of [2, 2, 9]) {
    const { pushed, announced } = await authorsToPush(people, { sql, pullThreshold });
    answers.push(sorted(pushed), announced, sorted(await pulledAmong(sql, people)));
    for (const reader of people) answers.push(sorted(await pulledFor(sql, reader)));
    if (pullThreshold === 9) continue;
    await beginFanOuts(sql, people[0] ?? "", [people[1] ?? ""], newest);
    const kinds: unknown[] = [];
    for (;;) {
      const taken = await takeFanOut(sql);
      if (!taken) break;
      kinds.push(`${taken.kind} ${taken.author_id} ${taken.before === newest}`);
      if (taken.before === newest) {
        await moveFanOut(sql, taken, people[2] ?? "");
        await endFanOut(sql, taken);
      } else await endFanOut(sql, taken);
    }
    answers.push(kinds.sort());
  }
  return answers;
}
