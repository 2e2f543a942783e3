import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import type { TopicPartition } from "../port.ts";
import { openDatabase } from "./database.ts";
import { Groups } from "./groups.ts";

const group = "g";
const topics = [{ name: "a", partitions: 3 }, { name: "b", partitions: 2 }];
const places = topics.flatMap(({ name, partitions }) =>
  Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }))
);
const sessionTimeout = 100;

async function withGroups(body: (groups: Groups, database: DatabaseSync) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "groups-" });
  const database = await openDatabase(`${folder}/events.db`);
  try {
    body(new Groups(database, sessionTimeout), database);
  } finally {
    database.close();
    await Deno.remove(folder, { recursive: true });
  }
}

function settle(groups: Groups, members: readonly string[]): Map<string, TopicPartition[]> {
  const owned = new Map<string, TopicPartition[]>();
  // Releasing in the first round, claiming in the second.
  for (const member of [...members, ...members]) {
    const reconciled = groups.reconcile(group, member, []);
    assert.ok(reconciled, `${member} is a member`);
    owned.set(member, reconciled.owned.map(({ topic, partition }) => ({ topic, partition })));
  }
  return owned;
}

Deno.test("Groups: a busy partition stays with its owner until it has ended", async () => {
  await withGroups((groups) => {
    groups.join(group, "old", topics, 0);
    assert.equal(groups.reconcile(group, "old", [])?.owned.length, 5);
    groups.join(group, "new", topics, 0);

    const busy = groups.reconcile(group, "old", places);
    assert.equal(busy?.owned.length, 5);
    assert.equal(busy?.leaving.length, 2);
    assert.equal(groups.reconcile(group, "new", [])?.owned.length, 0);

    groups.commit(group, "old", busy?.leaving.map((place) => ({ ...place, next: 9 })) ?? []);
    assert.equal(groups.reconcile(group, "old", [])?.owned.length, 3);
    assert.ok(groups.generation(group) > (busy?.generation ?? 0), "the heir is told to look again");
    const handedOver = groups.reconcile(group, "new", [])?.owned;
    assert.deepEqual(handedOver?.map(({ committed }) => committed), [9, 9]);
  });
});

Deno.test("Groups: an evicted member cannot commit over its heir", async () => {
  await withGroups((groups) => {
    groups.join(group, "zombie", topics, 0);
    groups.reconcile(group, "zombie", []);
    groups.join(group, "heir", topics, sessionTimeout);
    assert.equal(groups.reconcile(group, "heir", [])?.owned.length, 5);
    groups.commit(group, "heir", [{ topic: "a", partition: 0, next: 20 }]);
    groups.commit(group, "zombie", [{ topic: "a", partition: 0, next: 10 }]);
    groups.heartbeat(group, "zombie", sessionTimeout);
    assert.equal(groups.reconcile(group, "zombie", []), undefined);
    assert.equal(groups.reconcile(group, "heir", [])?.owned[0]?.committed, 20);
  });
});

const member = fc.nat({ max: 3 });
const step = fc.oneof(
  fc.record({ does: fc.constant("join" as const), member }),
  fc.record({ does: fc.constant("leave" as const), member }),
  fc.record({ does: fc.constant("heartbeat" as const), member }),
  fc.record({ does: fc.constant("reconcile" as const), member, busy: fc.subarray(places) }),
  fc.record({ does: fc.constant("commit" as const), member, place: fc.constantFrom(...places) }),
  fc.record({ does: fc.constant("wait" as const), milliseconds: fc.nat({ max: 80 }) }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

Deno.test("Groups: whatever members do, a partition has one owner, who alone commits", async () => {
  await withGroups((groups, database) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        database.exec("BEGIN IMMEDIATE");
        try {
          play(groups, database, steps);
        } finally {
          database.exec("ROLLBACK");
        }
      }),
      { numRuns: 150 },
    );
  });
});

/** Plays the steps, and keeps beside the truth what each session believes it owns. */
function play(groups: Groups, database: DatabaseSync, steps: readonly Step[]): void {
  const owners = database.prepare(
    "SELECT topic, partition, owner FROM assignments WHERE owner IS NOT NULL",
  );
  const committed = database.prepare(
    "SELECT committed FROM assignments WHERE topic = ? AND partition = ?",
  );
  let now = 0;
  let sessions = 0;
  let next = 0;
  /** The session of each, undefined while it has none. */
  const sessionOf: (string | undefined)[] = [];
  const believes = new Map<string, Set<string>>();
  for (const step of steps) {
    if (step.does === "wait") {
      now += step.milliseconds;
      continue;
    }
    const session = sessionOf[step.member];
    if (step.does === "join") {
      if (session !== undefined) continue;
      const fresh = `session-${sessions++}`;
      sessionOf[step.member] = fresh;
      groups.join(group, fresh, topics, now);
    } else if (session === undefined) continue;
    else if (step.does === "leave") {
      groups.leave(group, session);
      sessionOf[step.member] = undefined;
    } else if (step.does === "heartbeat") groups.heartbeat(group, session, now);
    else if (step.does === "reconcile") {
      const reconciled = groups.reconcile(group, session, step.busy);
      if (!reconciled) sessionOf[step.member] = undefined;
      believes.set(session, new Set(reconciled?.owned.map((p) => `${p.topic}:${p.partition}`)));
    } else {
      const { topic, partition } = step.place;
      const before = committed.get(topic, partition)?.committed;
      const owner = owners.all().find((r) => r.topic === topic && r.partition === partition);
      groups.commit(group, session, [{ topic, partition, next: ++next }]);
      const after = committed.get(topic, partition)?.committed;
      assert.equal(after, owner?.owner === session ? next : before);
    }
    // Who owns it in truth also believes so: nobody is given what another still works on.
    for (const { topic, partition, owner } of owners.all()) {
      assert.ok(believes.get(String(owner))?.has(`${topic}:${partition}`));
    }
  }
  // Left alone, those who still live come to share everything.
  const live = sessionOf.filter((session) => session !== undefined);
  for (const session of live) groups.heartbeat(group, session, now);
  const remaining = live.filter((session) => groups.reconcile(group, session, []));
  if (remaining.length === 0) return;
  const shares = [...settle(groups, remaining).values()];
  const all = shares.flat().map(({ topic, partition }) => `${topic}:${partition}`);
  assert.equal(all.length, places.length);
  assert.equal(new Set(all).size, places.length);
  const sizes = shares.map((share) => share.length);
  assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `${sizes}`);
}
