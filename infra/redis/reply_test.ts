import assert from "node:assert/strict";
import fc from "fast-check";
import { ErrorReply, Replies, type Reply } from "./reply.ts";

const bytes = fc.uint8Array({ maxLength: 40 });
const line = fc.stringMatching(/^[ -~]{0,20}$/);
const reply = fc.oneof(
  fc.record({ kind: fc.constant("array" as const), items: fc.array(bytes, { maxLength: 5 }) }),
  fc.record({ kind: fc.constant("bulk" as const), items: fc.tuple(bytes) }),
  fc.record({ kind: fc.constant("simple" as const), text: line }),
  fc.record({ kind: fc.constant("error" as const), text: line }),
);

function latin1(items: Uint8Array): string {
  return Array.from(items, (byte) => String.fromCharCode(byte)).join("");
}

function encoded(one: typeof reply extends fc.Arbitrary<infer T> ? T : never): string {
  if (one.kind === "simple") return `+${one.text}\r\n`;
  if (one.kind === "error") return `-${one.text}\r\n`;
  const items = one.items.map((item) => `$${item.length}\r\n${latin1(item)}\r\n`);
  return (one.kind === "array" ? `*${items.length}\r\n` : "") + items.join("");
}

function found(taken: Reply | ErrorReply): string[] | { readonly error: string } {
  if (taken instanceof ErrorReply) return { error: taken.message };
  return taken.starts.map((start, nth) => latin1(taken.bytes.subarray(start, taken.ends[nth])));
}

Deno.test("Replies: finds each as it was sent, in whatever pieces it comes", () => {
  fc.assert(
    fc.property(
      fc.array(reply, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (sent, lengths) => {
        const all = Uint8Array.from(sent.map(encoded).join(""), (one) => one.charCodeAt(0));
        const taken: ReturnType<typeof found>[] = [];
        const replies = new Replies((one) => taken.push(found(one)));
        // As a socket does: one buffer for every piece.
        const buffer = new Uint8Array(30);
        for (let at = 0, nth = 0; at < all.length; nth++) {
          const piece = all.subarray(at, at + (lengths[nth % lengths.length] ?? 1));
          buffer.set(piece);
          replies.receive(buffer.subarray(0, piece.length));
          at += piece.length;
        }
        assert.deepEqual(
          taken,
          sent.map((one) => {
            if (one.kind === "error") return { error: one.text };
            return one.kind === "simple" ? [one.text] : one.items.map(latin1);
          }),
        );
      },
    ),
  );
});

Deno.test("Replies: what is of another kind is not guessed at", () => {
  for (const text of [":1\r\n", "*1\r\n:1\r\n", "$-1\r\n", "HTTP/1.1 200 OK\r\n"]) {
    const replies = new Replies(() => assert.fail(text));
    assert.throws(() => replies.receive(new TextEncoder().encode(text)), SyntaxError, text);
  }
});
