import assert from "node:assert/strict";
import { caption, commentText, handle, handleKey, id, uploadByteLength } from "./values.ts";

Deno.test("handle: 3 to 30 letters, digits, dots, underscores", () => {
  for (const good of ["ada", "Ada.Lovelace", "a_1", "x".repeat(30), "007"]) {
    assert.equal(handle.safeParse(good).success, true, good);
  }
  const bad = ["", "ab", "x".repeat(31), ".ada", "ada.", "_a_", "a b", "ädä", "ada\n", "ada\u0000"];
  for (const value of bad) assert.equal(handle.safeParse(value).success, false, value);
});

Deno.test("handleKey: case makes no difference", () => {
  assert.equal(handleKey("Ada.L"), handleKey("aDA.l"));
});

Deno.test("text: is normalised and trimmed, its limits count what remains", () => {
  assert.equal(caption.parse("  e\u0301\r\n  "), "é");
  assert.equal(caption.parse(""), "");
  assert.equal(commentText.safeParse(" \n ").success, false);
  assert.equal(commentText.safeParse("x".repeat(2200)).success, true);
  assert.equal(commentText.safeParse("x".repeat(2201)).success, false);
});

Deno.test("text: what no database can hold is refused, what people type is not", () => {
  for (const bad of ["a\u0000b", "\ud800", "x\u001b[31m"]) {
    assert.equal(caption.safeParse(bad).success, false, JSON.stringify(bad));
  }
  for (const good of ["👩‍👩‍👧 #sunset", "tab\tand\nline", "العربية", "𝔘nicode"]) {
    assert.equal(caption.parse(good), good.normalize("NFC"));
  }
});

Deno.test("id: UUIDv7 only, in lower case", () => {
  assert.equal(id.safeParse("01900000-0000-7000-8000-00000000000A").success, false);
  assert.equal(id.safeParse("01900000-0000-7000-8000-000000000001").success, true);
  assert.equal(id.safeParse("01900000-0000-4000-8000-000000000001").success, false);
  assert.equal(id.safeParse("01900000-0000-7000-8000-00000000000G").success, false);
});

Deno.test("uploadByteLength: 1 byte to 50 MiB, whole", () => {
  for (const bad of [0, -1, 1.5, 50 * 1024 * 1024 + 1, Infinity]) {
    assert.equal(uploadByteLength.safeParse(bad).success, false, String(bad));
  }
  assert.equal(uploadByteLength.safeParse(50 * 1024 * 1024).success, true);
});
