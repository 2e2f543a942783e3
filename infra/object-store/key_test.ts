import assert from "node:assert/strict";
import fc from "fast-check";
import { compareKeys, fileName, isKey, partOf } from "./key.ts";

Deno.test("isKey: a key is up to 1,024 bytes in parts that HTTP leaves alone", () => {
  for (const key of ["a", "originals/o/m", "a b", "ü/写", ".hidden", "...", "a\\b", "%2e%2e"]) {
    assert(isKey(key), key);
  }
  for (
    const key of ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\u007f", "\udc00"]
  ) {
    assert(!isKey(key), key);
  }
  const part = "x".repeat(127);
  assert(isKey(Array(8).fill(part).join("/")), "1,023 bytes");
  assert(!isKey(Array(8).fill(part).join("/") + "/y"), "1,025 bytes");
});

Deno.test("isKey: a part fits a file name however much of it is encoded", () => {
  assert(isKey("x".repeat(240)) && !isKey("x".repeat(241)));
  assert(isKey("X".repeat(80)) && !isKey("X".repeat(81)));
});

Deno.test("fileName: tells all parts apart on any file system, and is undone by partOf", () => {
  const part = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  fc.assert(fc.property(part, (part) => {
    const name = fileName(part);
    assert.match(name, /^[a-z0-9_%-]+$/);
    assert.equal(partOf(name), part);
  }));
});

Deno.test("compareKeys: by UTF-8 bytes, which is by code points", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
    const [x, y] = [[...a], [...b]].map((text) => text.map((c) => c.codePointAt(0) ?? 0));
    const differing = x?.findIndex((point, index) => point !== y?.[index]) ?? -1;
    const expected = differing < 0
      ? Math.sign((x?.length ?? 0) - (y?.length ?? 0))
      : Math.sign((x?.[differing] ?? 0) - (y?.[differing] ?? -1));
    assert.equal(Math.sign(compareKeys(a, b)), expected);
  }));
});
