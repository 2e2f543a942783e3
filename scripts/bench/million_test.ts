import assert from "node:assert/strict";
import { catalogue } from "../../domain/events.ts";
import { syntheticEvents } from "./million.ts";

Deno.test("synthetic events: a seed gives the same log, in time order, of every type, fit for the schemas", () => {
  const events = [...syntheticEvents({ seed: 7, count: 20_000 })];
  assert.equal(events.length, 20_000);
  const again = [...syntheticEvents({ seed: 7, count: 20_000 })];
  assert.deepEqual(again, events);
  const other = [...syntheticEvents({ seed: 8, count: 50 })];
  assert.notDeepEqual(other, events.slice(0, 50));
  for (const [index, event] of events.entries()) {
    const definition = catalogue.definition(event.type);
    definition.schema.parse(event.data);
    assert.ok(event.time >= (events[index - 1]?.time ?? ""), `event ${index} is in its place`);
  }
  const types = new Set(events.map(({ type }) => type));
  assert.deepEqual(types, new Set(catalogue.definitions.map(({ name }) => name)));
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
});

Deno.test("synthetic events: who has closed their account does nothing any more, nor does anyone to a deleted post", () => {
  const closed = new Set<string>();
  const deleted = new Set<string>();
  for (const { type, data } of syntheticEvents({ seed: 3, count: 50_000 })) {
    if (type === "AccountClosed") closed.add(data.accountId);
    if (type === "PostDeleted") deleted.add(data.postId);
    if (type === "PostCreated" || type === "CommentAdded") assert.ok(!closed.has(data.authorId));
    if (type === "PostLiked") assert.ok(!closed.has(data.accountId) && !deleted.has(data.postId));
  }
  assert.ok(closed.size > 3 && deleted.size > 50, `${closed.size} closed, ${deleted.size} deleted`);
});
