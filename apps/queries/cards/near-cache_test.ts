import assert from "node:assert/strict";
import type { Listener } from "../../../infra/card-cache/port.ts";
import { keyOf } from "../../../projections/cards/keys.ts";
import type { Card } from "./card.ts";
import { NearCache } from "./near-cache.ts";
import { strangers } from "./rules.ts";

function open(options: ConstructorParameters<typeof NearCache>[1] = {}) {
  let listener: Listener | undefined;
  let time = 0;
  let live = true;
  const near = new NearCache({
    listen: (one) => {
      listener = one;
      return {
        get live() {
          return live;
        },
        caughtUp: () => Promise.resolve(),
        stop: () => Promise.resolve(),
      };
    },
  }, { now: () => time, ...options });
  return {
    near,
    evict: (...keys: string[]) => listener?.evicted(keys),
    pass: (ms: number) => time += ms,
    deafen() {
      live = false;
      listener?.lost();
    },
    hearAgain: () => live = true,
  };
}

function card(authorId: string, length = 1_000): Card {
  return { authorId, hasMedia: true, item: "x".repeat(length), tag: 1, cursorJson: '"c"' };
}

Deno.test("NearCache: cards and viewers take no more bytes than they may", () => {
  const { near } = open({ cardBytes: 100_000, viewerBytes: 50_000 });
  const loading = near.loading();
  for (let n = 0; n < 1_000; n++) {
    near.keepCard(loading, `post${n}`, card("a"), [keyOf.account("a"), keyOf.medium(`${n}`)]);
    near.keepLikes(
      loading,
      `viewer${n}`,
      new Map(Array.from({ length: 20 }, (_, i) => [`${i}`, true])),
    );
  }
  const kept = Array.from({ length: 1_000 }, (_, n) => near.card(`post${n}`, 0)).filter(Boolean);
  assert.ok(kept.length > 20 && kept.length < 50, `${kept.length} cards`);
  const viewers = Array.from({ length: 1_000 }, (_, n) => near.viewer(`viewer${n}`, 0)).filter(
    Boolean,
  );
  assert.ok(viewers.length > 20 && viewers.length < 50, `${viewers.length} viewers`);
});

Deno.test("NearCache: a part that changes takes all the cards with it that show it, and no others", () => {
  const { near, evict } = open();
  const loading = near.loading();
  near.keepCard(loading, "1", card("a"), [keyOf.account("a"), keyOf.medium("m")]);
  near.keepCard(loading, "2", card("a"), [keyOf.account("a"), keyOf.medium("n")]);
  near.keepCard(loading, "3", card("b"), [keyOf.account("b"), keyOf.medium("m")]);
  const there = () => ["1", "2", "3"].filter((id) => near.card(id, 0) !== undefined);
  near.loaded(loading);
  evict(keyOf.medium("n"));
  assert.deepEqual(there(), ["1", "3"]);
  evict(keyOf.account("a"));
  assert.deepEqual(there(), ["3"]);
  const again = near.loading();
  near.keepCard(again, "3", card("b"), [keyOf.account("b")]);
  evict(keyOf.medium("m"));
  assert.deepEqual(there(), ["3"], "it does not show that medium any more");
});

Deno.test("NearCache: what is kept is kept for a minute", () => {
  const { near, pass } = open();
  const loading = near.loading();
  near.keepCard(loading, "1", undefined, []);
  near.keepRelations(loading, "v", new Map([["a", strangers]]));
  pass(59_999);
  assert.deepEqual([near.card("1", near.now())?.card, !!near.viewer("v", near.now())], [
    undefined,
    true,
  ]);
  assert.ok(near.card("1", near.now()), "that there is none is kept too");
  pass(1);
  assert.deepEqual([near.card("1", near.now()), near.viewer("v", near.now())], [
    undefined,
    undefined,
  ]);
});

Deno.test("NearCache: of a viewer that alone is forgotten which has changed", () => {
  const { near, evict } = open();
  const loading = near.loading();
  near.keepLikes(loading, "v", new Map([["1", true], ["2", false]]));
  near.keepRelations(loading, "v", new Map([["a", strangers], ["b", strangers]]));
  near.keepLikes(loading, "w", new Map([["1", true]]));
  near.loaded(loading);
  evict(keyOf.likes("v", "1"), keyOf.relations("v", "b"));
  const [v, w] = ["v", "w"].map((id) => near.viewer(id, 0));
  assert.deepEqual([...v?.likes ?? []], [["2", false]]);
  assert.deepEqual([...v?.relations ?? []], [["a", strangers]]);
  assert.deepEqual([...w?.likes ?? []], [["1", true]]);
});

Deno.test("NearCache: what was evicted while it was loaded is not kept", () => {
  const { near, evict } = open();
  const loading = near.loading();
  evict(keyOf.account("a"), keyOf.likes("v", "1"), keyOf.relations("v", "a"));
  near.keepCard(loading, "1", card("a"), [keyOf.account("a")]);
  near.keepCard(loading, "2", card("b"), [keyOf.account("b")]);
  near.keepLikes(loading, "v", new Map([["1", true], ["2", true]]));
  near.keepRelations(loading, "v", new Map([["a", strangers], ["b", strangers]]));
  assert.deepEqual([near.card("1", 0), near.card("2", 0)?.card], [undefined, card("b")]);
  const { likes, relations } = near.viewer("v", 0) ?? {};
  assert.deepEqual([[...likes?.keys() ?? []], [...relations?.keys() ?? []]], [["2"], ["b"]]);
});

for (
  const [when, deafen] of [
    ["when it was deaf", (it: ReturnType<typeof open>) => {
      it.deafen();
      const loading = it.near.loading();
      it.hearAgain();
      return loading;
    }],
    ["before it was deaf", (it: ReturnType<typeof open>) => {
      const loading = it.near.loading();
      it.deafen();
      it.hearAgain();
      return loading;
    }],
  ] as const
) {
  Deno.test(`NearCache: what it began to load ${when} is not kept when it hears again`, () => {
    const it = open();
    const loading = deafen(it);
    it.near.keepCard(loading, "1", card("a"), []);
    it.near.keepLikes(loading, "v", new Map([["1", true]]));
    it.near.keepRelations(loading, "v", new Map([["a", strangers]]));
    assert.deepEqual([it.near.card("1", 0), it.near.viewer("v", 0)], [undefined, undefined]);
  });
}
