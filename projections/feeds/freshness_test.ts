import assert from "node:assert/strict";
import type { DomainEvent } from "../../domain/events.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { metrics } from "../../infra/telemetry/metrics.ts";
import { postReached, postsReached } from "./freshness.ts";

async function shown(reached: string): Promise<{ count: number; sum: number }> {
  const text = await metrics.metrics();
  const value = (part: string) => {
    const line = new RegExp(`freshness_seconds_${part}\\{reached="${reached}"\\} (\\S+)`);
    return Number(line.exec(text)?.[1] ?? 0);
  };
  return { count: value("count"), sum: value("sum") };
}

const hour = 60 * 60 * 1000;
const created = (age: number): { event: DomainEvent } => ({
  event: {
    id: newId(),
    type: "PostCreated",
    time: new Date(Date.now() - age).toISOString(),
    data: { postId: newId(), authorId: newId(), mediaIds: [newId()], caption: null, altTexts: {} },
  },
});

Deno.test("postsReached: counts posts from their event's time, and none that are read again", async () => {
  postsReached([created(5_000), created(2 * hour)], "batch");
  const { count, sum } = await shown("batch");
  assert.equal(count, 1);
  assert.ok(sum >= 5 && sum < 10, `${sum} s`);
});

Deno.test("postReached: a post's id tells when it was made", async () => {
  postReached(newId(), "slices");
  postReached("00000000-0000-7000-8000-000000000000", "slices");
  const { count, sum } = await shown("slices");
  assert.equal(count, 1, "not the one of 1970");
  assert.ok(sum < 5, `${sum} s`);
});
