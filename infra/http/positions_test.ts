import assert from "node:assert/strict";
import type { Position } from "../event-log/position.ts";
import { awaitPosition, setPosition } from "./positions.ts";
import { problemCode, testEdge } from "./testing.ts";

function get(header: string | undefined, reached: boolean) {
  const asked: { position: Position; projections: readonly string[]; timeoutMs: number }[] = [];
  const progress = {
    reached: (position: Position, projections: readonly string[], timeoutMs: number) => {
      asked.push({ position, projections, timeoutMs });
      return Promise.resolve(reached);
    },
  };
  const edge = testEdge().get("/", awaitPosition(progress, ["feeds"]), (c) => c.text("x"));
  const headers: HeadersInit = header === undefined ? {} : { "Await-Position": header };
  return { response: edge.request("/", { headers }), asked };
}

Deno.test("awaitPosition: waits two seconds at most and says whether it was reached", async () => {
  for (const reached of [true, false]) {
    const { response, asked } = get("posts:3:14,follows:0:2", reached);
    assert.equal((await response).headers.get("position-reached"), String(reached));
    assert.deepEqual(asked, [{
      position: [
        { topic: "posts", partition: 3, offset: 14 },
        { topic: "follows", partition: 0, offset: 2 },
      ],
      projections: ["feeds"],
      timeoutMs: 2_000,
    }]);
  }
});

Deno.test("awaitPosition: without the header nothing is waited for or said", async () => {
  const { response, asked } = get(undefined, true);
  assert.equal((await response).headers.get("position-reached"), null);
  assert.equal(asked.length, 0);
});

Deno.test("awaitPosition: a malformed position is a 400", async () => {
  for (const header of ["posts", "posts:1", "posts:-1:2", "POSTS:1:2", "posts:1:2;x"]) {
    const response = await get(header, true).response;
    assert.equal(response.status, 400, header);
    assert.equal(await problemCode(response), "invalid-position");
  }
});

Deno.test("setPosition: the highest place of each partition", async () => {
  const edge = testEdge().get("/", (c) => {
    setPosition(c, [
      { topic: "follows", partition: 1, offset: 7 },
      { topic: "follows", partition: 1, offset: 8 },
    ]);
    return c.body(null, 204);
  });
  assert.equal((await edge.request("/")).headers.get("position"), "follows:1:8");
});
