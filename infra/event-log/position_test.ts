import assert from "node:assert/strict";
import fc from "fast-check";
import { formatPosition, maximumPlaces, parsePosition } from "./position.ts";

const place = fc.record({
  topic: fc.constantFrom("accounts", "follows", "posts", "dead-letters"),
  partition: fc.nat({ max: 15 }),
  offset: fc.nat({ max: 999_999_999_999_999 }),
}, { noNullPrototype: true });

Deno.test("formatPosition: keeps the highest offset of each partition", () => {
  const position = formatPosition([
    { topic: "posts", partition: 3, offset: 7 },
    { topic: "media", partition: 3, offset: 1 },
    { topic: "posts", partition: 3, offset: 12 },
    { topic: "posts", partition: 3, offset: 9 },
  ]);
  assert.equal(position, "posts:3:12,media:3:1");
});

Deno.test("formatPosition: of nothing appended is empty, and reads back as no places", () => {
  assert.equal(formatPosition([]), "");
  assert.deepEqual(parsePosition(""), []);
});

Deno.test("parsePosition: reads back what formatPosition wrote", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(place, {
        maxLength: maximumPlaces,
        selector: ({ topic, partition }) => `${topic}:${partition}`,
      }),
      (appended) => assert.deepEqual(parsePosition(formatPosition(appended)), appended),
    ),
  );
});

Deno.test("parsePosition: allows spaces around the places", () => {
  assert.deepEqual(parsePosition(" posts:0:1 , media:2:3 "), [
    { topic: "posts", partition: 0, offset: 1 },
    { topic: "media", partition: 2, offset: 3 },
  ]);
});

Deno.test("parsePosition: refuses what is no position", () => {
  const bad = [
    "posts",
    "posts:1",
    "posts:-1:2",
    "posts:1:2:3",
    "posts:1:1e3",
    "Posts:1:2",
    "posts:1:9999999999999999",
    "posts:1:2;media:1:2",
    "posts: 1:2",
  ];
  for (const header of bad) assert.equal(parsePosition(header), undefined, header);
});

Deno.test("parsePosition: refuses more places than a client can have caused", () => {
  const places = (count: number) =>
    Array.from({ length: count }, (_, index) => `posts:${index}:0`).join(",");
  assert.equal(parsePosition(places(maximumPlaces))?.length, maximumPlaces);
  assert.equal(parsePosition(places(maximumPlaces + 1)), undefined);
});
