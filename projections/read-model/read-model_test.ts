import assert from "node:assert/strict";
import fc from "fast-check";
import type { DomainEvent } from "../../domain/events.ts";
import { idOf } from "../../domain/given_when_then.ts";
import type { LogRecord } from "../../infra/event-log/port.ts";
import { openInMemory } from "../../infra/sql/pglite_fixture.ts";
import type { Sql } from "../../infra/sql/port.ts";
import { Applier } from "../runner/applier.ts";
import { ensureProjection } from "../runner/control.ts";
import { fill } from "../runner/fill.ts";
import { Crash, CrashingSql, dump, encodeAll, openSealer, WrittenLog } from "../runner/harness.ts";
import { atVersions } from "../runner/live-schemas.ts";
import { Progress } from "../runner/progress.ts";
import { readModel } from "./read-model.ts";

const schema = "read_model_v1";
const partitions = 4;
const never = new AbortController().signal;

const account = (n: number) => idOf(0x100 + n);
const post = (n: number) => idOf(0x200 + n);
const comment = (n: number) => idOf(0x300 + n);
const medium = (n: number) => idOf(0x400 + n);
/** A post's author, a comment's author: immutable. */
const authorOf = (n: number) => account(n % 3);

/** What is said of an event before it has an id and a time. */
type Said = DomainEvent extends infer E ? E extends DomainEvent ? Pick<E, "type" | "data"> : never
  : never;

function recorded(said: readonly Said[]): DomainEvent[] {
  return said.map((event, n) => {
    const time = new Date(Date.UTC(2026, 0, 1) + n * 1001).toISOString();
    return { id: idOf(0x1000 + n), time, ...event };
  });
}

const text = fc.constantFrom("Dawn", "", 'it\'s\t\\ "{odd}" \n 𝒳', null);
const anAccount = fc.nat(3).map(account);
const aPost = fc.nat(2);
const aComment = fc.nat(2);

/** Any facts about few keys, so that they meet: a superset of what the deciders would record. */
const anySaid: fc.Arbitrary<Said> = fc.oneof(
  fc.record({
    type: fc.constant("AccountRegistered" as const),
    data: fc.record(
      { accountId: anAccount, handle: text, displayName: text },
      { requiredKeys: ["accountId", "handle"] },
    ),
  }),
  fc.record({
    type: fc.constant("ProfileChanged" as const),
    data: fc.record(
      {
        accountId: anAccount,
        displayName: text,
        bio: text,
        avatarMediaId: fc.constantFrom(null, medium(1)),
      },
      { requiredKeys: ["accountId"] },
    ),
  }),
  { weight: 1, arbitrary: anAccount.map((accountId) => said("AccountClosed", { accountId })) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom("AccountFollowed" as const, "AccountUnfollowed" as const),
      data: fc.record({ followerId: anAccount, followeeId: anAccount }),
    }),
  },
  fc.record({
    type: fc.constantFrom("AccountBlocked" as const, "AccountUnblocked" as const),
    data: fc.record({ blockerId: anAccount, blockedId: anAccount }),
  }),
  {
    weight: 2,
    arbitrary: fc.tuple(aPost, text).map(([n, caption]) =>
      said("PostCreated", {
        postId: post(n),
        authorId: authorOf(n),
        mediaIds: [medium(n), medium(n + 1)],
        caption,
        altTexts: { [medium(n)]: caption },
      })
    ),
  },
  fc.tuple(aPost, text).map(([n, caption]) =>
    said("CaptionChanged", { postId: post(n), authorId: authorOf(n), caption })
  ),
  fc.tuple(aPost, fc.constantFrom("author" as const, "account-closed" as const)).map(
    ([n, cause]) => said("PostDeleted", { postId: post(n), authorId: authorOf(n), cause }),
  ),
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom("PostLiked" as const, "PostUnliked" as const),
      data: fc.record({ postId: aPost.map(post), accountId: anAccount }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(aPost, aComment, text).map(([p, c, text]) =>
      said("CommentAdded", {
        postId: post(p),
        commentId: comment(p * 8 + c),
        authorId: authorOf(c),
        text,
      })
    ),
  },
  fc.tuple(aPost, aComment, anAccount).map(([p, c, deletedBy]) =>
    said("CommentDeleted", { postId: post(p), commentId: comment(p * 8 + c), deletedBy })
  ),
);

function said<Type extends Said["type"]>(
  type: Type,
  data: Extract<Said, { type: Type }>["data"],
): Said {
  return { type, data } as Said;
}

/**
 * Without what no decider records: a change or an end of a post or comment that was not there yet. It
 * is void and leaves no trace, so that, told a second time later, it would not be.
 */
function possible(history: readonly Said[]): Said[] {
  const known = new Set<string>();
  return history.filter((fact) => {
    switch (fact.type) {
      case "PostCreated":
        return known.add(fact.data.postId);
      case "CommentAdded":
        return known.add(fact.data.commentId);
      case "CaptionChanged":
      case "PostDeleted":
        return known.has(fact.data.postId);
      case "CommentDeleted":
        return known.has(fact.data.commentId);
      default:
        return true;
    }
  });
}

/** The history with some facts appended a second time, anywhere after the first. */
function withDuplicates(
  events: readonly DomainEvent[],
  duplicates: readonly (readonly [of: number, later: number])[],
): DomainEvent[] {
  const log = [...events];
  if (events.length === 0) return log;
  for (const [of, later] of duplicates) {
    const event = events[of % events.length];
    if (!event) continue;
    const first = log.indexOf(event);
    log.splice(first + 1 + later % (log.length - first), 0, event);
  }
  return log;
}

interface Step {
  /** Which partitions the batch takes from, and how many records of each. */
  readonly picks: readonly (readonly [partition: number, count: number])[];
  /** How many records already applied come again before them. */
  readonly again: number;
  readonly crash: boolean;
  /** Which of two owners takes it: the other's idea of the checkpoints is then out of date. */
  readonly owner: 0 | 1;
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  picks: fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 6 })), {
    minLength: 1,
    maxLength: 5,
  }),
  again: fc.constantFrom(0, 0, 2),
  crash: fc.constantFrom(false, false, false, true),
  owner: fc.constantFrom(0, 1),
});

async function clear(sql: Sql): Promise<void> {
  for (const table of Object.keys(await dump(sql, schema))) {
    await sql.execute(`DELETE FROM ${schema}.${table}`);
  }
  await sql.execute("UPDATE projections.checkpoints SET next_offset = 0");
}

async function applyBySteps(sql: Sql, events: readonly DomainEvent[], steps: readonly Step[]) {
  await clear(sql);
  const log = new WrittenLog(await encodeAll(events), partitions);
  const crashing = new CrashingSql(sql);
  const owner = () =>
    new Applier({
      log,
      sql: crashing,
      projection: readModel,
      sealer: openSealer,
      progress: new Progress(sql),
      strict: true,
    });
  const owners = [owner(), owner()] as const;
  const waiting = log.partitions.map((records) => ({ records, next: 0 }));
  for (let n = 0; waiting.some(({ records, next }) => next < records.length); n++) {
    const step = steps[n % steps.length];
    if (!step) throw new Error("no steps");
    const batch: LogRecord[] = [];
    const open = waiting.filter(({ records, next }) => next < records.length);
    const taken = new Set<typeof open[number]>();
    for (const [pick, count] of step.picks) {
      const from = open[pick % open.length];
      if (!from || taken.has(from)) continue;
      taken.add(from);
      batch.push(...from.records.slice(Math.max(0, from.next - step.again), from.next + count));
      from.next = Math.min(from.records.length, from.next + count);
    }
    const applier = owners[step.owner];
    if (step.crash) {
      crashing.crashNext = true;
      await assert.rejects(applier.take(batch, never), Crash);
    }
    await applier.take(batch, never);
  }
  return await dump(sql, schema);
}

const oneByOne: Step[] = [{ picks: [[0, 1]], again: 0, crash: false, owner: 0 }];
const allAtOnce: Step[] = [{
  picks: Array.from({ length: 4 * partitions }, (_, n) => [n, 1000] as const),
  again: 0,
  crash: false,
  owner: 0,
}];

Deno.test("readModel", async (t) => {
  const sql = await openInMemory();
  try {
    await ensureProjection(sql, new WrittenLog([], partitions), readModel);
    const apply = (...history: Said[]) => applyBySteps(sql, recorded(history), oneByOne);
    const show = (text: string) => sql.query(text.replaceAll("read_model.", `${schema}.`));

    await t.step(
      "an account registers, changes its profile and closes, which ends its text",
      async () => {
        const registered = said("AccountRegistered", {
          accountId: account(1),
          handle: "Ada.L",
          displayName: "Ada",
        });
        const changed = said("ProfileChanged", {
          accountId: account(1),
          bio: "Engines",
          avatarMediaId: medium(1),
        });
        await apply(registered, changed);
        assert.deepEqual(await show("SELECT * FROM read_model.accounts"), [{
          account_id: account(1),
          handle: "Ada.L",
          handle_key: "ada.l",
          display_name: "Ada",
          bio: "Engines",
          avatar_media_id: medium(1),
          registered_at: new Date("2026-01-01T00:00:00.000Z"),
          closed_at: null,
        }]);
        await apply(registered, changed, said("AccountClosed", { accountId: account(1) }));
        assert.deepEqual(await show("SELECT * FROM read_model.accounts"), [{
          account_id: account(1),
          handle: null,
          handle_key: null,
          display_name: null,
          bio: null,
          avatar_media_id: null,
          registered_at: new Date("2026-01-01T00:00:00.000Z"),
          closed_at: new Date("2026-01-01T00:00:02.002Z"),
        }]);
      },
    );

    await t.step("a registration overtaken by a profile change takes nothing back", async () => {
      await apply(
        said("ProfileChanged", { accountId: account(1), displayName: "Countess" }),
        said("AccountRegistered", { accountId: account(1), handle: "ada", displayName: "Ada" }),
      );
      assert.deepEqual(await show("SELECT handle, display_name FROM read_model.accounts"), [
        { handle: "ada", display_name: "Countess" },
      ]);
    });

    await t.step(
      "follows count on both sides, whoever is known; a new follow comes first",
      async () => {
        const pair = { followerId: account(1), followeeId: account(2) };
        await apply(
          said("AccountFollowed", pair),
          said("AccountFollowed", pair),
          said("AccountUnfollowed", pair),
          said("AccountUnfollowed", pair),
          said("AccountFollowed", pair),
        );
        assert.deepEqual(await show("SELECT follow_id FROM read_model.follows"), [
          { follow_id: idOf(0x1004) },
        ]);
        assert.deepEqual(await show("SELECT * FROM read_model.account_counts ORDER BY 1"), [
          { account_id: account(1), post_count: 0, follower_count: 0, following_count: 1 },
          { account_id: account(2), post_count: 0, follower_count: 1, following_count: 0 },
        ]);
      },
    );

    await t.step(
      "a post, its caption and its deletion; likes and comments need not wait for it",
      async () => {
        const [postId, authorId] = [post(1), account(1)];
        const history = [
          said("PostLiked", { postId, accountId: account(2) }),
          said("CommentAdded", { postId, commentId: comment(1), authorId: account(2), text: "Oh" }),
          said("CommentAdded", { postId, commentId: comment(2), authorId: account(2), text: "Ah" }),
          said("CommentDeleted", { postId, commentId: comment(1), deletedBy: account(2) }),
          said("PostCreated", {
            postId,
            authorId,
            mediaIds: [medium(2), medium(1)],
            caption: "Dawn",
            altTexts: { [medium(1)]: "A ridge" },
          }),
          said("CaptionChanged", { postId, authorId, caption: "Dusk" }),
        ] as const;
        await apply(...history);
        assert.deepEqual(await show("SELECT * FROM read_model.posts"), [{
          author_id: authorId,
          post_id: postId,
          media_ids: [medium(2), medium(1)],
          caption: "Dusk",
          alt_texts: { [medium(1)]: "A ridge" },
          created_at: new Date("2026-01-01T00:00:04.004Z"),
          deleted_at: null,
        }]);
        assert.deepEqual(await show("SELECT * FROM read_model.post_authors"), [
          { post_id: postId, author_id: authorId },
        ]);
        assert.deepEqual(await show("SELECT * FROM read_model.post_counts"), [
          { post_id: postId, like_count: 1, comment_count: 1 },
        ]);
        const comments = "SELECT comment_id, body, deleted_at IS NULL AS live FROM " +
          "read_model.comments ORDER BY 1";
        assert.deepEqual(await show(comments), [
          { comment_id: comment(1), body: null, live: false },
          { comment_id: comment(2), body: "Ah", live: true },
        ]);
        assert.deepEqual(await show("SELECT post_count FROM read_model.account_counts"), [
          { post_count: 1 },
        ]);
        await apply(...history, said("PostDeleted", { postId, authorId, cause: "author" }));
        assert.deepEqual(
          await show("SELECT caption, alt_texts, deleted_at FROM read_model.posts"),
          [{ caption: null, alt_texts: {}, deleted_at: new Date("2026-01-01T00:00:06.006Z") }],
        );
        assert.deepEqual(await show("SELECT post_count FROM read_model.account_counts"), [
          { post_count: 0 },
        ]);
      },
    );

    await t.step(
      "any interleaving, any cut into batches, redeliveries, crashes, a second owner and facts appended twice leave the same bytes",
      async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(anySaid, { maxLength: 40, size: "max" }),
            fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 8 }),
            fc.array(anyStep, { minLength: 1, maxLength: 12 }),
            async (history, duplicates, steps) => {
              const events = recorded(possible(history));
              const expected = await applyBySteps(sql, events, allAtOnce);
              const actual = await applyBySteps(sql, withDuplicates(events, duplicates), steps);
              assert.deepEqual(actual, expected);
              assert.deepEqual(await show(miscounted), []);
            },
          ),
          { numRuns: 12 },
        );
      },
    );

    await t.step(
      "filled by one writer that remembers what it has written, cut off or not, and completed, it has the same bytes",
      async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(anySaid, { maxLength: 40, size: "max" }),
            fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 8 }),
            fc.integer({ min: 1, max: 20 }),
            fc.nat(60),
            async (history, duplicates, batchSize, cutOffAt) => {
              const events = recorded(possible(history));
              const expected = await applyBySteps(sql, events, allAtOnce);
              await clear(sql);
              const again = await encodeAll(withDuplicates(events, duplicates));
              const log = new WrittenLog(again, partitions, batchSize);
              const options = { log, sql, sealer: openSealer, projection: readModel };
              const cutOff = new AbortController();
              const onStep = ({ done }: { done: number }) => {
                if (done >= cutOffAt) cutOff.abort(new Crash("cut off"));
              };
              const first = fill({ ...options, filledAlone: true, lanes: 3 }, {
                signal: cutOff.signal,
                onStep,
              });
              await first.catch((error) => assert(error instanceof Crash));
              // Who goes on with it has no memory, and counts.
              await fill(options, { signal: never, onStep: () => {} });
              await complete(sql);
              assert.deepEqual(await dump(sql, schema), expected);
            },
          ),
          { numRuns: 20 },
        );
      },
    );
  } finally {
    await sql.close();
  }
});

async function complete(sql: Sql): Promise<void> {
  const versions = new Map([[readModel.name, readModel.version]]);
  for (const statement of readModel.completion ?? []) {
    await sql.transaction((transaction) => atVersions(transaction, versions).execute(statement));
  }
}

/** Counters that differ from what they count. */
const miscounted = `
  SELECT 'account' AS what, account_id AS id FROM read_model.account_counts AS c
  WHERE post_count <> (SELECT count(*) FROM read_model.posts AS p
                       WHERE p.author_id = c.account_id AND p.deleted_at IS NULL)
     OR follower_count <> (SELECT count(*) FROM read_model.follows AS f
                           WHERE f.followee_id = c.account_id)
     OR following_count <> (SELECT count(*) FROM read_model.follows AS f
                            WHERE f.follower_id = c.account_id)
  UNION ALL
  SELECT 'post', post_id FROM read_model.post_counts AS c
  WHERE like_count <> (SELECT count(*) FROM read_model.likes AS l WHERE l.post_id = c.post_id)
     OR comment_count <> (SELECT count(*) FROM read_model.comments AS m
                          WHERE m.post_id = c.post_id AND m.deleted_at IS NULL)`;
